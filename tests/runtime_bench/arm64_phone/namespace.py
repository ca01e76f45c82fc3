"""Runs commands in namespaces in which an arm64 adbd listens.

adbd listens on every interface without asking who comes: the network is one of their own.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SERIAL = "127.0.0.1:5777"
_UNSHARE = (
    *("unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork"),
    *("--mount-proc", "--kill-child", "--propagation", "private"),
)
# Mounts the namespace's own register of program formats, which kernels have from 6.7 on.
_TRIAL = "ip link set lo up && mount -t binfmt_misc none /proc/sys/fs/binfmt_misc"


def reason_against() -> str:
    """Why this machine cannot do it; "" where it can."""
    for tool in ("unshare", "ip", "mount", "adb", "apt-get", "dpkg"):
        if shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            return f"{tool} is not installed"
    done = subprocess.run([*_UNSHARE, "sh", "-c", _TRIAL], capture_output=True, text=True)
    if done.returncode:
        return f"no namespaces with program formats of their own: {done.stderr.strip()[:200]}"
    return ""


def run_beside_phone(
    made: Path, system: Path, data: Path, cpu: str, home: Path, command: Sequence[str]
) -> "subprocess.CompletedProcess[str]":
    """Run ``command`` with the phone ``SERIAL`` there; ``home`` gets the adb client's keys.

    ``made``: of ``make_root``; ``system``: a profile's folder of the sysroot; ``data``: becomes the
    phone's /data; ``cpu``: the emulator's name of the processor.
    """
    unwanted = ("ANDROID_ADB_SERVER_PORT", "ANDROID_SERIAL", "ADB_SERVER_SOCKET")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    script = Path(__file__).with_name("inside.sh")
    return subprocess.run(
        [*_UNSHARE, "sh", str(script), str(made), str(system), str(data), cpu, *command],
        env={**environment, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=900,
    )
