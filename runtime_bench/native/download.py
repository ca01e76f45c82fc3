"""Fetches what the native runners are built from, and believes nothing without its hash.

Everything goes through the clients that this machine is set up with, pip and apt, and so through
their mirrors and proxies. Files arrive under a temporary name; what has the right hash is renamed.
"""

import hashlib
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from runtime_bench.errors import InputError
from runtime_bench.native.commands import INSTALL, require, run
from runtime_bench.native.pins import WHEEL_PLATFORM, WHEEL_PYTHON, DebianPackage, Wheel

_AGAIN = "then again: make native"
_APT_HELPER = Path("/usr/lib/apt/apt-helper")
_OWN_HEADERS = (
    "Get the headers of ONNX Runtime 1.21 or newer (its release archives have them) and say where "
    "they are: python -m runtime_bench.native.set_up --onnxruntime-headers FOLDER"
)
_HEADER = "onnxruntime_c_api.h"


def verify(path: Path, sha256: str) -> None:
    """Raises InputError, and removes the file, unless it has the hash."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found == sha256:
        return
    path.unlink()
    raise InputError(
        f"{path.name} is not the file that this project was made with: its sha256 is {found}, "
        f"expected {sha256}.",
        f"Check the package index or mirror that it came from, {_AGAIN}",
    )


def fetch_wheel(wheel: Wheel, architecture: str, folder: Path) -> Path:
    """The unpacked members of a wheel, as a folder in ``folder``; raises InputError."""
    sha256 = wheel.sha256[architecture]
    name = f"{wheel.package}-{wheel.version}-{architecture}"
    unpacked = folder / name
    if _is_made_from(unpacked, sha256):
        return unpacked
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as scratch:
        tags = ["--platform", f"{WHEEL_PLATFORM}_{architecture}", "--implementation", "cp"]
        tags += ["--python-version", WHEEL_PYTHON, "--abi", f"cp{WHEEL_PYTHON.replace('.', '')}"]
        run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--only-binary=:all:", *tags),
                *("--dest", f"{scratch}/wheel", f"{wheel.package}=={wheel.version}"),
            ],
            f"{wheel.package} {wheel.version} for {architecture} could not be downloaded",
            f"Check the connection to the Python package index, {_AGAIN}",
        )
        (path,) = Path(scratch, "wheel").iterdir()
        verify(path, sha256)
        content = Path(scratch, "content")
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if name.startswith(wheel.members)]
            archive.extractall(content, members)
        _finish(content, unpacked, sha256)
    return unpacked


def fetch_onnxruntime_headers(package: DebianPackage, folder: Path) -> Path:
    """The folder with onnxruntime_c_api.h; raises InputError."""
    unpacked = folder / Path(package.path).stem
    if not _is_made_from(unpacked, package.sha256):
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as scratch:
            path = Path(scratch, Path(package.path).name)
            _fetch_debian(package.path, path)
            verify(path, package.sha256)
            content = Path(scratch, "content")
            run(["dpkg-deb", "--extract", str(path), str(content)], "dpkg-deb failed", INSTALL)
            _finish(content, unpacked, package.sha256)
    return check_headers(unpacked / "usr/include/onnxruntime")


def check_headers(folder: Path) -> Path:
    """``folder``; raises InputError where ONNX Runtime's header is not in it."""
    if not (folder / _HEADER).is_file():
        raise InputError(f"There is no {_HEADER} in {folder}.", _OWN_HEADERS)
    return folder


def _fetch_debian(path: str, target: Path) -> None:
    """Try the archives that apt is set up with, in order; raises InputError with the last cause."""
    wanted = f"{target.name} (ONNX Runtime's headers)"
    if not _APT_HELPER.exists():
        raise InputError(f"{wanted} is a package of Debian, and this is none.", _OWN_HEADERS)
    require("dpkg-deb", "it unpacks ONNX Runtime's headers")
    targets = ["--no-release-info", "--format", "$(REPO_URI)", "Created-By: Packages"]
    listed = run(["apt-get", "indextargets", *targets], "apt-get failed", _OWN_HEADERS)
    archives = list(dict.fromkeys(listed.split()))
    last = InputError(f"{wanted} cannot be fetched: apt knows no archive.", _OWN_HEADERS)
    for archive in archives:
        try:
            run(
                [str(_APT_HELPER), "download-file", f"{archive}{path}", str(target)],
                f"{wanted} could not be downloaded",
                f"Check the connection to Debian's archive, {_AGAIN}. Or: {_OWN_HEADERS}",
            )
            return
        except InputError as error:
            last = error
    raise last


def _is_made_from(folder: Path, sha256: str) -> bool:
    stamp = folder / "sha256"
    return stamp.is_file() and stamp.read_text(encoding="ascii") == sha256


def _finish(content: Path, unpacked: Path, sha256: str) -> None:
    (content / "sha256").write_text(sha256, encoding="ascii")
    shutil.rmtree(unpacked, ignore_errors=True)
    content.rename(unpacked)
