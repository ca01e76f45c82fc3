"""The app on a simulated phone: installs it there, and says how it misbehaves."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from .phone import Phone

FOLDERS = "sdcard/Android/data/org.squeezebert.app/files/benchmark"
ONNX = {"name": "ONNX Runtime", "version": "1.29.0"}
NO_EXECUTORCH = {
    "name": "ExecuTorch",
    "version": None,
    "reason": "ExecuTorch is not in this app.",
    "next_step": "Build the app with it.",
}
DEVICE = {
    "kind": "app",
    "model": "Google Pixel 6",
    "architecture": "aarch64",
    "cores": 8,
    "features": ["asimd", "asimddp", "asimdhp"],
    "memory_bytes": 7800000 * 1024,
    "system": "Android 14 (API 34)",
    "emulated": False,
    "extra": {"soc": "GS101", "build": None, "abis": ["arm64-v8a"], "app_abi": "arm64-v8a"},
    "clusters": [
        {"name": "little", "cpus": [0, 1, 2, 3], "maximum_khz": 1803000},
        {"name": "middle", "cpus": [4, 5], "maximum_khz": 2253000},
        {"name": "big", "cpus": [6, 7], "maximum_khz": 2802000},
    ],
}
_SIMULATED = Path(__file__).with_name("simulated_app.py")


def install(phone: Phone, launch: list[str] | None = None, **about: object) -> None:
    """Install the app; ``launch`` starts it (ROOT STATE RUN PACKAGE follow), else it is simulated.

    ``about`` replaces parts of what it says of itself.
    """
    usual = {
        "device": DEVICE,
        "versions": {"app": "0.1.0"},
        "plans": "squeezebert-app-plan/1",
        "engines": {"onnx": ONNX, "executorch": NO_EXECUTORCH},
    }
    write(phone, "about", json.dumps({**usual, **about}))
    command = launch or [sys.executable, "-S", str(_SIMULATED)]
    write(phone, "launch", shlex.join([*command, str(phone.folder), str(phone.folder / "state")]))


def installed(**about: object) -> Callable[[Phone], object]:
    """For ``Bench.phone``: a phone with the app."""
    return lambda phone: install(phone, **about)  # type: ignore[arg-type]


def write(phone: Phone, name: str, text: str = "") -> None:
    """A file of the app's state: what it is, or how it misbehaves."""
    file = phone.folder / "state/app" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")


def forget(phone: Phone, name: str) -> None:
    """Take a file of the app's state away."""
    (phone.folder / "state/app" / name).unlink(missing_ok=True)


def copies(phone: Phone) -> list[str]:
    """The runs whose models lie where only the app can write."""
    folder = phone.folder / "data/own"
    return sorted(item.name for item in folder.iterdir()) if folder.exists() else []


def left_behind(phone: Phone) -> list[str]:
    """The run folders in the app's external files."""
    folder = phone.folder / FOLDERS
    return sorted(item.name for item in folder.iterdir()) if folder.exists() else []
