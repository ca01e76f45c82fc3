"""Compiles the runners and puts them into one flat folder with every library they need."""

import hashlib
import json
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runtime_bench.errors import InputError
from runtime_bench.native import pins, places
from runtime_bench.native.commands import INSTALL, require, run
from runtime_bench.native.download import check_headers, fetch_onnxruntime_headers, fetch_wheel
from runtime_bench.native.system_libraries import SYSTEM_LIBRARIES
from runtime_bench.progress import say

_SOURCES = Path(__file__).parent
_TOOLCHAIN = _SOURCES / "toolchains" / "aarch64-linux.cmake"
_CROSS_COMPILER = "aarch64-linux-gnu-g++"
_COMPILER = "g++"
_JSON_HEADERS = Path("/usr/include/nlohmann")
_REPORT = "That is a fault of this project, or of an unusual compiler: please report it."


@dataclass(frozen=True)
class Recipe:
    """How the runners of one architecture are made. ``headers``: ONNX Runtime's, if not fetched."""

    architecture: str
    headers: Path | None = None

    @property
    def cross(self) -> bool:
        return self.architecture != platform.machine()

    @property
    def compiler(self) -> str:
        return _CROSS_COMPILER if self.cross else _COMPILER

    @property
    def self_contained(self) -> bool:
        return self.architecture == "aarch64"


def build(recipe: Recipe, *, force: bool = False) -> bool:
    """Make ``places.runner_folder``; False where it was up to date. Raises InputError."""
    _require_tools(recipe)
    made_from = _made_from(recipe)
    target = places.runner_folder(recipe.architecture)
    stamp = places.folder() / f"{recipe.architecture}.json"
    if not force and target.is_dir() and stamp.is_file() and _read(stamp) == made_from:
        return False
    downloads = places.folder() / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=places.folder()) as name:
        scratch = Path(name)
        made = _compile(recipe, downloads, scratch)
        stamp.unlink(missing_ok=True)
        if target.exists():
            target.rename(scratch / "old")
        made.rename(target)
        (scratch / "stamp").write_text(json.dumps(made_from, indent=2) + "\n", encoding="ascii")
        (scratch / "stamp").rename(stamp)
    return True


def _require_tools(recipe: Recipe) -> None:
    require("cmake", "it builds the native runners")
    require("make", "it builds the native runners")
    use = "it compiles for 64-bit Arm" if recipe.cross else "it compiles the native runners"
    require(recipe.compiler, use)
    if not (_JSON_HEADERS / "json.hpp").is_file():
        raise InputError("nlohmann-json3-dev is not installed (the runners read JSON).", INSTALL)


def _made_from(recipe: Recipe) -> dict[str, str]:
    """Hashes and versions of everything that goes into the runners of one architecture."""
    files = [*sorted((_SOURCES / "src").iterdir()), _SOURCES / "CMakeLists.txt", _TOOLCHAIN]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    wheels = {
        wheel.package: wheel.sha256[recipe.architecture]
        for wheel in (pins.ONNXRUNTIME, pins.EXECUTORCH)
    }
    headers = str(recipe.headers.resolve()) if recipe.headers else pins.ONNXRUNTIME_HEADERS.sha256
    compiler = run([recipe.compiler, "--version"], f"{recipe.compiler} failed", INSTALL)
    return {
        "sources": digest.hexdigest(),
        **wheels,
        "onnxruntime_headers": headers,
        "compiler": compiler.splitlines()[0],
    }


def _compile(recipe: Recipe, downloads: Path, scratch: Path) -> Path:
    """The flat folder, in ``scratch``."""
    architecture = recipe.architecture
    say(f"{architecture}: fetching ONNX Runtime {pins.ONNXRUNTIME.version}")
    onnxruntime = fetch_wheel(pins.ONNXRUNTIME, architecture, downloads)
    say(f"{architecture}: fetching ExecuTorch {pins.EXECUTORCH.version}")
    executorch = fetch_wheel(pins.EXECUTORCH, architecture, downloads) / "executorch"
    if recipe.headers is None:
        headers = fetch_onnxruntime_headers(pins.ONNXRUNTIME_HEADERS, downloads)
    else:
        headers = check_headers(recipe.headers)
    # Alone in a folder: the other headers beside it belong to this machine's C library.
    include = downloads / "include"
    shutil.copytree(_JSON_HEADERS, include / "nlohmann", dirs_exist_ok=True)
    (library,) = (onnxruntime / "onnxruntime/capi").glob("libonnxruntime.so.*")
    out = scratch / architecture
    settings = {
        "CMAKE_BUILD_TYPE": "Release",
        "JSON_INCLUDE": include,
        "ONNXRUNTIME_INCLUDE": headers,
        "ONNXRUNTIME_LIBRARY": library,
        "EXECUTORCH_FOLDER": executorch,
        "EXECUTORCH_VERSION": pins.EXECUTORCH.version,
        **({"CMAKE_TOOLCHAIN_FILE": _TOOLCHAIN} if recipe.cross else {}),
    }
    say(f"{architecture}: compiling (a minute or two)")
    work = str(scratch / "work")
    defined = [f"-D{name}={value}" for name, value in settings.items()]
    source = ["-S", str(_SOURCES), "-B", work, "-G", "Unix Makefiles"]
    run(["cmake", *source, *defined], "CMake did not configure the runners", INSTALL)
    jobs = str(os.cpu_count() or 1)
    failed = f"The runners for {architecture} did not compile"
    run(["cmake", "--build", work, "--parallel", jobs], failed, _REPORT)
    run(["cmake", "--install", work, "--prefix", str(out), "--strip"], failed, _REPORT)
    shutil.copyfile(library, out / "libonnxruntime.so.1")
    for name in pins.EXECUTORCH_LIBRARIES:
        shutil.copyfile(executorch / "lib" / name, out / name)
    if recipe.self_contained:
        _copy_system_libraries(recipe.compiler, out)
    for path in out.iterdir():
        path.chmod(0o755)
    if not recipe.cross:
        for runner in ("onnx_runner", "executorch_runner"):
            run([str(out / runner), "--version"], f"{runner} does not start", _REPORT)
    return out


def _copy_system_libraries(compiler: str, out: Path) -> None:
    """What a bundle for a machine without a C library of its own needs besides."""
    for name in SYSTEM_LIBRARIES:
        path = Path(
            run([compiler, f"-print-file-name={name}"], f"{compiler} failed", INSTALL).strip()
        )
        # A compiler that has no such file prints the bare name.
        if not path.is_absolute():
            raise InputError(f"{compiler} comes without {name}.", INSTALL)
        shutil.copyfile(path, out / name)


def _read(stamp: Path) -> object:
    try:
        return json.loads(stamp.read_text(encoding="ascii"))
    except ValueError:
        return None
