"""Makes the phone's root folder: Debian's adbd, shell and tools for arm64, unpacked, not installed.

The packages come through a state of apt's own, so that the machine's is not touched; apt proves
them with Debian's key.
"""

import shutil
import subprocess
from pathlib import Path

# The first Debian with adbd for arm64.
RELEASE = "trixie"
PACKAGES = ("adbd", "mksh", "toybox")
EMULATOR = "usr/bin/qemu-aarch64-static"
# What Android's toybox has too, as far as this project asks for it.
TOOLS = (
    *("cat", "chmod", "cp", "df", "echo", "env", "false", "grep", "head", "kill", "ls", "mkdir"),
    *("pkill", "ps", "rm", "sha256sum", "sleep", "tail", "taskset", "true", "uname", "wc"),
)
PROPERTIES = {
    "ro.product.manufacturer": "Debian",
    "ro.product.model": "arm64 root",
    "ro.product.cpu.abilist": "arm64-v8a",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.kernel.qemu": "1",
}
_APT = """APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
"""


def make_root(target: Path) -> Path:
    """``target`` with the folder ``root`` (the phone's) and the program ``emulator`` in it.

    Made once. Raises OSError or CalledProcessError where packages cannot be had.
    """
    if target.is_dir():
        return target
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "packages").mkdir(parents=True)
    for package in _download(partial / "packages"):
        _run(["dpkg", "-x", str(package), str(partial / "root")])
    _furnish(partial / "root")
    _run(["apt-get", "-q", "download", "qemu-user-static"], cwd=partial / "packages")
    (package,) = (partial / "packages").glob("qemu-user-static_*.deb")
    _run(["dpkg", "-x", str(package), str(partial / "packages/emulator")])
    (partial / "packages/emulator" / EMULATOR).rename(partial / "emulator")
    shutil.rmtree(partial / "packages")
    partial.rename(target)
    return target


def _download(folder: Path) -> list[Path]:
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "state/status").touch()
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (folder / "sources.list").write_text(f"deb [signed-by={key}] {_archive()} {RELEASE} main\n")
    settings = folder / "apt.conf"
    settings.write_text(_APT.format(folder=folder))
    for command in (
        ["update"],
        ["-y", "--no-install-recommends", "--download-only", "install", *PACKAGES],
    ):
        _run(["env", f"APT_CONFIG={settings}", "apt-get", "-q", *command])
    return sorted((folder / "cache/archives").glob("*.deb"))


def _archive() -> str:
    """Where apt has the machine's own release from: the other releases lie there, too."""
    form = ["--no-release-info", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]
    for line in _run(["apt-get", "indextargets", *form]).splitlines():
        release, _, address = line.partition(" ")
        if "-" not in release:  # not the updates of one
            return address
    raise OSError("apt knows no archive")


def _furnish(root: Path) -> None:
    for name in ("bin", "sbin", "lib"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    for name in ("proc", "sys", "dev", "tmp", "data"):
        (root / name).mkdir(exist_ok=True)
    # This adbd starts /bin/sh; Android's shell is mksh.
    (root / "usr/bin/sh").symlink_to("mksh")
    for tool in TOOLS:
        (root / "usr/bin" / tool).symlink_to("toybox")
    lines = "\n".join(f"[{name}]: [{value}]" for name, value in PROPERTIES.items())
    properties = root / "usr/bin/getprop"
    properties.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n", encoding="ascii")
    properties.chmod(0o755)


def _run(command: list[str], cwd: Path | None = None) -> str:
    return subprocess.run(
        command, cwd=cwd, check=True, capture_output=True, text=True, timeout=300
    ).stdout
