r"""What a phone is, from what its own commands print. Nothing is guessed: unknown stays None or 0.

Everything that a phone is ever asked (with the app, besides, what app/asking.py lists); one shell
call holds exactly one of these lines:

    getprop
    cat /proc/cpuinfo          cat /proc/meminfo          cat /proc/stat
    cat /sys/devices/system/cpu/online
    grep -H . /sys/devices/system/cpu/cpu[0-9]*/cpufreq/NAME       prints PATH:KILOHERTZ lines;
        NAME: cpuinfo_max_freq, scaling_cur_freq, scaling_min_freq, scaling_max_freq
    df -k /data/local/tmp      ls /data/local/tmp
    dumpsys battery            dumpsys thermalservice     dumpsys power
    cat /sys/class/power_supply/battery/NAME                       NAME: current_now, voltage_now
    cmd power set-fixed-performance-mode-enabled true|false
    settings get|put|delete global stay_on_while_plugged_in [N]
    svc power stayon true      input keyevent KEYCODE_WAKEUP
    mkdir -p FOLDER...         chmod 755 FILE...          sha256sum FILE...
    rm -rf FOLDER              du -sk FOLDER...           date +%s
    [mkdir -p FOLDER && ] echo HOST PROCESS "$(date +%s)" LOCK > FOLDER/measured_by
    cat FOLDER/measured_by
    echo N > FOLDER/stay_on_before                        cat FOLDER/stay_on_before
    pkill -9 -f '[s]queezebert-bench-NAME'                (the bracket: not its own shell)
    kill -9 $(cat FOLDER/N.pid)

where FOLDER is /data/local/tmp/squeezebert-bench-NAME or below it. A runner is started, with its
standard input open, by one of

    cd FOLDER && echo $$ > N.pid && exec \
        FOLDER/ld-linux-aarch64.so.1 --library-path . FOLDER/RUNNER           (the glibc bundle)
    cd FOLDER && echo $$ > N.pid && exec env LD_LIBRARY_PATH=. FOLDER/RUNNER  (an NDK build)

A command that a phone lacks, or that it refuses, costs what the command would have told.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime_bench import features
from runtime_bench.adb.client import Adb
from runtime_bench.adb.clusters import Core, clusters
from runtime_bench.devices.base import Cluster, Fingerprint

STORAGE = "/data/local/tmp"
PROPERTIES = "getprop"
CPU_INFO = "cat /proc/cpuinfo"
MEMORY_INFO = "cat /proc/meminfo"
STATISTICS = "cat /proc/stat"
ONLINE = "cat /sys/devices/system/cpu/online"
FREE_SPACE = f"df -k {STORAGE}"
ABI = "arm64-v8a"
_EMULATED_HARDWARE = ("goldfish", "ranchu")


@dataclass(frozen=True)
class Phone:
    """What does not change while a phone runs. None and 0: it does not tell.

    ``abis`` are Android's names of what it can execute; ``build`` is the build's fingerprint.
    """

    model: str | None
    soc: str | None
    android: str | None
    sdk: int | None
    build: str | None
    abis: tuple[str, ...]
    architecture: str | None
    cores: int
    features: tuple[str, ...]
    clusters: tuple[Cluster, ...]
    memory_bytes: int
    emulated: bool


def read_phone(adb: Adb) -> Phone:
    """Ask the phone what it is; raises DeviceError where it cannot be reached."""
    properties = parse_properties(adb.shell(PROPERTIES).output)
    cpu_info = adb.shell(CPU_INFO).output
    cores = merged_cores(
        parse_cores(cpu_info),
        parse_cpu_list(adb.shell(ONLINE).output),
        parse_by_cpu(adb.shell(frequencies("cpuinfo_max_freq")).output),
    )
    return Phone(
        model=_model(properties),
        soc=_first(properties, "ro.soc.model", "ro.board.platform", "ro.hardware"),
        android=_first(properties, "ro.build.version.release"),
        sdk=_number(properties.get("ro.build.version.sdk", "")),
        build=_first(properties, "ro.build.fingerprint"),
        abis=_abis(properties),
        architecture=_architecture(properties, cpu_info),
        cores=len(cores),
        features=parse_features(cpu_info),
        clusters=clusters(cores),
        memory_bytes=parse_memory(adb.shell(MEMORY_INFO).output, "MemTotal") or 0,
        emulated=_emulated(properties),
    )


def fingerprint(phone: Phone) -> Fingerprint:
    """The phone as the record holds it."""
    android = "Android" + (f" {phone.android}" if phone.android else " of an unknown version")
    return Fingerprint(
        kind="adb",
        model=phone.model or "unknown",
        architecture=phone.architecture or "unknown",
        cores=phone.cores,
        features=phone.features,
        memory_bytes=phone.memory_bytes,
        system=android + (f" (API {phone.sdk})" if phone.sdk else ""),
        emulated=phone.emulated,
        extra={"soc": phone.soc, "build": phone.build, "abis": list(phone.abis)},
        clusters=phone.clusters,
    )


def frequencies(name: str) -> str:
    """The command that prints every core's ``name``, in kHz."""
    return f"grep -H . /sys/devices/system/cpu/cpu[0-9]*/cpufreq/{name}"


def parse_properties(text: str) -> dict[str, str]:
    """``[name]: [value]`` lines; other lines (a value can have several) are left out."""
    pairs = (re.fullmatch(r"\[([^\]]+)\]: \[(.*)\]", line.strip()) for line in text.splitlines())
    return {pair[1]: pair[2] for pair in pairs if pair}


def parse_cores(text: str) -> dict[int, Core]:
    """The cores of ``/proc/cpuinfo`` with their part numbers, such as 0xd41."""
    found: dict[int, Core] = {}
    current: int | None = None
    for key, value in _fields(text):
        if key == "processor":
            current = _number(value)
            if current is not None:
                found[current] = Core(current)
        elif key == "CPU part" and current is not None and re.fullmatch(r"0x[0-9a-f]{3}", value):
            found[current] = Core(current, part=value)
    return found


def parse_features(text: str) -> tuple[str, ...]:
    """The instruction sets that every core has, of those that kernels choose by."""
    every = [
        frozenset(features.ARM).intersection(value.split())
        for key, value in _fields(text)
        if key == "Features"
    ]
    return tuple(sorted(frozenset.intersection(*every))) if every else ()


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """``0-3,6`` -> 0, 1, 2, 3, 6; () for anything else."""
    found: set[int] = set()
    for part in text.strip().split(","):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part.strip(), re.ASCII)
        if match is None:
            return ()
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(found))


def parse_by_cpu(text: str) -> dict[int, int]:
    """``.../cpuN/cpufreq/NAME:KILOHERTZ`` lines -> kHz by core. Zero is no clock."""
    pairs = re.findall(r"^\S*/cpu(\d{1,4})/cpufreq/\w+:(\d{4,9})\s*$", text, re.M | re.ASCII)
    return {int(cpu): int(khz) for cpu, khz in pairs if int(khz)}


def parse_memory(text: str, name: str) -> int | None:
    """The bytes of ``name: N kB`` in ``/proc/meminfo``."""
    match = re.search(rf"^{name}:\s+(\d{{1,12}}) kB\s*$", text, re.M | re.ASCII)
    return int(match[1]) * 1024 if match else None


def parse_free_space(text: str) -> int | None:
    """The bytes that ``df -k`` says are available, or None.

    A long name of the file system can push the figures to a line of their own.
    """
    lines = text.strip().splitlines()
    columns = lines[-1].split() if len(lines) > 1 else []
    figures = [int(word) for word in columns if re.fullmatch(r"\d{1,15}", word, re.ASCII)]
    return figures[2] * 1024 if len(figures) >= 3 else None


def merged_cores(
    named: Mapping[int, Core], online: Sequence[int], maximum_khz: Mapping[int, int]
) -> tuple[Core, ...]:
    """Every core that any of the three sources knows: a core that sleeps is in some only."""
    known = sorted({*named, *online, *maximum_khz})
    return tuple(
        Core(cpu, maximum_khz.get(cpu), named[cpu].part if cpu in named else None) for cpu in known
    )


def _fields(text: str) -> list[tuple[str, str]]:
    pairs = (line.partition(":") for line in text.splitlines())
    return [(key.strip(), value.strip()) for key, colon, value in pairs if colon]


def _model(properties: Mapping[str, str]) -> str | None:
    model = _first(properties, "ro.product.model", "ro.product.vendor.model")
    maker = _first(properties, "ro.product.manufacturer")
    if model is None or maker is None or model.lower().startswith(maker.lower()):
        return model
    return f"{maker} {model}"


def _abis(properties: Mapping[str, str]) -> tuple[str, ...]:
    text = _first(properties, "ro.product.cpu.abilist", "ro.product.cpu.abi") or ""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _architecture(properties: Mapping[str, str], cpu_info: str) -> str | None:
    names = {ABI: "aarch64", "armeabi-v7a": "armv7l", "x86_64": "x86_64", "x86": "i686"}
    for abi in _abis(properties):
        if abi in names:
            return names[abi]
    return "aarch64" if ("CPU architecture", "8") in _fields(cpu_info) else None


def _emulated(properties: Mapping[str, str]) -> bool:
    marks = (properties.get("ro.kernel.qemu"), properties.get("ro.boot.qemu"))
    return "1" in marks or properties.get("ro.hardware") in _EMULATED_HARDWARE


def _first(properties: Mapping[str, str], *names: str) -> str | None:
    return next((properties[name] for name in names if properties.get(name)), None)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,6}", text.strip(), re.ASCII) else None
