"""Makes the counter plugin and the guest's files, as the last part of ``make native``.

The guest sees a folder for each profile in place of the root: the C library of the cross compiler,
an Arm ``/proc/cpuinfo``, and exactly one processor (with several, the runtimes share work out by
chance, and counts do not repeat). The C library is copied, so that a system update cannot shift
counts unseen.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from runtime_bench.emulation.profiles import PROFILES
from runtime_bench.errors import InputError
from runtime_bench.native import places
from runtime_bench.native.system_libraries import LOADER, SYSTEM_LIBRARIES

EMULATOR = "qemu-aarch64"
CROSS_COMPILER = "aarch64-linux-gnu-g++"
HOST_COMPILER = "gcc"
MADE_FROM = "made_from.json"
PLUGIN_SOURCES = Path(__file__).parent / "plugin"
_NEXT_STEP = "Run runtime_bench/install_system_packages.sh, then: make native"
_ONE_CPU_FILES = ("possible", "present", "online")


def set_up(force: bool = False) -> None:
    """Make ``places.plugin()`` and ``places.sysroot()``; what is up to date stays unless ``force``.

    Raises InputError where this machine cannot emulate.
    """
    for program, use in (
        (EMULATOR, "The Arm emulator"),
        (CROSS_COMPILER, "The cross compiler, whose C library the guest uses,"),
        (HOST_COMPILER, "The C compiler"),
    ):
        if shutil.which(program) is None:
            raise InputError(f"{use} is not installed ({program}).", _NEXT_STEP)
    libraries = _libraries()
    sources = _sources(libraries)
    if not force and not missing() and made_from() == sources:
        return
    places.folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="emulation-", dir=places.folder()) as scratch:
        plugin = build_plugin(Path(scratch) / places.plugin().name)
        sysroot = Path(scratch) / "sysroot"
        _write_sysroot(sysroot, libraries)
        (sysroot / MADE_FROM).write_text(json.dumps(sources, indent=2) + "\n", encoding="ascii")
        _check_emulator(plugin, sysroot)
        if places.sysroot().exists():
            shutil.rmtree(places.sysroot())
        plugin.replace(places.plugin())
        sysroot.rename(places.sysroot())


def missing() -> str:
    """Why nothing can be emulated now, and the next command; "" when it can."""
    if shutil.which(EMULATOR) is None:
        return f"The Arm emulator is not installed ({EMULATOR}). {_NEXT_STEP}"
    if not places.plugin().exists() or not (places.sysroot() / MADE_FROM).exists():
        return "The emulated Arm device is not set up. Set it up with: make native"
    return ""


def made_from() -> Mapping[str, str]:
    """Hashes of what the present plugin and guest files were made from, by name."""
    found: dict[str, str] = json.loads((places.sysroot() / MADE_FROM).read_text(encoding="ascii"))
    return found


def emulator_version() -> str:
    """The emulator's version line, for example ``7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)``."""
    first = _output([EMULATOR, "--version"]).splitlines()[0]
    return first.removeprefix(f"{EMULATOR} version ").strip()


def build_plugin(target: Path, sources: Path = PLUGIN_SOURCES) -> Path:
    """Compile the counter in ``sources`` to ``target``; raises InputError when that fails."""
    flags = ["-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden"]
    source = sources / "count_instructions.c"
    _output([HOST_COMPILER, *flags, str(source), "-o", str(target)])
    return target


def hash_of(contents: list[bytes]) -> str:
    """SHA-256 over the contents, in their order."""
    digests = b"".join(hashlib.sha256(content).digest() for content in contents)
    return hashlib.sha256(digests).hexdigest()


def _libraries() -> dict[str, Path]:
    """Where the cross compiler keeps each of SYSTEM_LIBRARIES."""
    found = {}
    for name in SYSTEM_LIBRARIES:
        path = Path(_output([CROSS_COMPILER, f"-print-file-name={name}"]).strip())
        if not path.is_absolute():
            raise InputError(f"The cross compiler comes without {name}.", _NEXT_STEP)
        found[name] = path.resolve()
    return found


def _sources(libraries: Mapping[str, Path]) -> dict[str, str]:
    plugin = [path.read_bytes() for path in sorted(PLUGIN_SOURCES.iterdir())]
    profiles = [profile.cpu_information().encode() for profile in PROFILES.values()]
    return {
        "counter": hash_of(plugin),
        "guest_cpus": hash_of(profiles),
        "guest_libraries": hash_of([path.read_bytes() for path in libraries.values()]),
        "emulator": emulator_version(),
    }


def _write_sysroot(folder: Path, libraries: Mapping[str, Path]) -> None:
    (folder / "lib").mkdir(parents=True)
    for name, path in libraries.items():
        shutil.copyfile(path, folder / "lib" / name)
    (folder / "lib" / LOADER).chmod(0o755)
    for profile in PROFILES.values():
        guest = folder / profile.name
        cpus = guest / "sys/devices/system/cpu"
        cpus.mkdir(parents=True)
        for name in _ONE_CPU_FILES:
            (cpus / name).write_text("0\n", encoding="ascii")
        (guest / "proc").mkdir()
        (guest / "proc/cpuinfo").write_text(profile.cpu_information(), encoding="ascii")
        (guest / "lib").symlink_to("../lib")


def _check_emulator(plugin: Path, sysroot: Path) -> None:
    """Run the guest's loader under every profile with the plugin."""
    loader, counts = str(sysroot / "lib" / LOADER), str(sysroot.parent / "counts.jsonl")
    for profile in PROFILES.values():
        guest = ["-cpu", profile.emulator_cpu, "-L", str(sysroot / profile.name)]
        counter = ["-plugin", f"{plugin},out={counts}"]
        _output([EMULATOR, *guest, *counter, loader, "--version"])


def _output(command: list[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        reason = lines[-1] if lines else f"exit code {result.returncode}"
        raise InputError(f"{Path(command[0]).name} failed: {reason}.", _NEXT_STEP)
    return result.stdout
