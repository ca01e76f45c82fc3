"""Why two runs, or one artifact in two runs, cannot be compared; every reason in plain words."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from runtime_bench.comparison.matching import Entry, Pair
from runtime_bench.comparison.verdicts import EFFECT_LIMIT
from runtime_bench.devices.base import BenchWarning
from runtime_bench.report.conditions import CLOCK_WARNINGS
from runtime_bench.results import Results
from runtime_bench.stability import DRIFT_LIMIT

# The time of a computation is inversely proportional to the clock: clocks that differ by more than
# what counts as a difference could make a verdict alone.
CLOCK_LIMIT = EFFECT_LIMIT
# Between runs on shared machines the matrix product moves by up to twice this (stability.py); below
# it, the interval is widened by what it moved (verdicts.py).
REFERENCE_LIMIT = DRIFT_LIMIT
# The system keeps a part of the memory for itself that varies from start to start.
MEMORY_TOLERANCE = 0.05

#: What may differ between two runs when the user asks about just that.
ACROSS = ("runtime", "system")
# Of ``extra``, what names the system's version and not the device.
_SYSTEM = ("build",)
# Words for the reader, that may become better ones.
_WORDING = ("description",)
# A model's own weights may change: they cost what others cost.
_WEIGHTS = ("source_hash", "trained")
# This project's own version is what a comparison is about.
_OWN_VERSION = "squeezebert-mobile"
_FIELDS = ("kind", "model", "architecture", "cores", "features", "emulated", "clusters")


def device_obstacles(before: Results, after: Results, across: Collection[str]) -> list[str]:
    """What speaks against comparing anything of two runs."""
    one, other = before.run.device, after.run.device
    if one["emulated"] != other["emulated"]:
        which = ("before", "after") if one["emulated"] else ("after", "before")
        return [
            f"The run {which[0]} was on an emulated device, the one {which[1]} on a real one: "
            "counted instructions are no time."
        ]
    if any(run.run.device["emulated"] and _only_timed(run) for run in (before, after)):
        return [
            "Only timings of an emulated device were recorded: its speed says nothing of a real "
            "one's. Count instructions with --device arm64, or measure on a phone."
        ]
    found = [
        _differ(name, one[name], other[name])
        for name in _FIELDS
        if name in one and name in other and _plain(one[name]) != _plain(other[name])
    ]
    # One phone has other names through its cable and through the network.
    if one["kind"] == other["kind"] != "adb" and one["name"] != other["name"]:
        found.append(_differ("name", one["name"], other["name"]))
    # An emulated device has that of the machine it runs on, which counts do not depend on.
    memory = one["memory_bytes"], other["memory_bytes"]
    if not one["emulated"] and abs(memory[1] - memory[0]) > MEMORY_TOLERANCE * memory[0]:
        gigabytes = [f"{size / 2**30:.1f} GiB" for size in memory]
        found.append(_differ("memory", *gigabytes))
    found += [
        _differ(name.replace("_", " "), value, other["extra"][name])
        for name, value in one["extra"].items()
        if name in other["extra"]
        and name not in (*_SYSTEM, *_WORDING)
        and _plain(value) != _plain(other["extra"][name])
    ]
    found += [
        f"Only one run had this warning: {warning.message} Measure both in the same way."
        for run, rest in ((before, after), (after, before))
        for code, warning in _clock_warnings(run).items()
        if code not in _clock_warnings(rest)
    ]
    systems = [_system(device) for device in (one, other)]
    if systems[0] != systems[1] and "system" not in across:
        difference = _differ("system", *systems)
        found.append(f"{difference} To ask what the new system changed: --across system.")
    cores = [run.settings.get("cores", "all") for run in (before.run, after.run)]
    if cores[0] != cores[1]:
        found.append(_differ("cores asked for", *cores))
    return found


def entry_obstacles(before: Results, after: Results, pair: Pair, threads: int) -> list[str]:
    """What speaks against comparing one artifact at one number of threads: its model, its cores.

    Where the user put different artifacts together, the model may be what is compared.
    """
    entries = pair.before, pair.after
    one, other = (entry["bundle"]["model"] for entry in entries)
    names = [name for name in one if name in other and name not in _WEIGHTS]
    found = [
        f"The models differ, {name.replace('_', ' ')}: {_words(one[name])} before, "
        f"{_words(other[name])} after."
        for name in names
        if pair.alike and _plain(one[name]) != _plain(other[name])
    ]
    ones, others = (
        _cpus(results, entry["id"], threads)
        for results, entry in zip((before, after), entries, strict=True)
    )
    if ones and others and ones != others:
        found.append(_differ("cores it ran on", *(_list(cpus) for cpus in (ones, others))))
    return found


def clock_obstacle(
    before: Results, after: Results, entries: tuple[Entry, Entry], length: int, threads: int
) -> str:
    """The clocks of the cores used, where both runs recorded them; "" when they agree."""
    ones, others = (
        running_khz(results, entry["id"], length, threads)
        for results, entry in zip((before, after), entries, strict=True)
    )
    if ones is None or others is None or abs(others / ones - 1) <= CLOCK_LIMIT:
        return ""
    return (
        f"The clocks differ: {ones / 1e6:.2f} GHz before, {others / 1e6:.2f} GHz after "
        f"({others / ones - 1:+.1%}). Let the device cool down, fix its clocks, and measure again."
    )


def reference_obstacle(shift: float | None) -> str:
    """``shift``: how many times as fast the matrix product became, None where it is missing."""
    if shift is None:
        return (
            "The fp32 matrix product, which tells whether the device itself changed, is missing "
            "in one of the runs. Measure again."
        )
    if abs(shift - 1) <= REFERENCE_LIMIT:
        return ""
    return (
        f"The device itself became {'faster' if shift > 1 else 'slower'}: its fp32 matrix product "
        f"runs at {shift:.2f} times the speed of before. Measure both in one run, one as the "
        "--baseline of the other."
    )


def running_khz(results: Results, entry: str, length: int, threads: int) -> float | None:
    """Median clock of the cores that ``entry`` ran on, right after its blocks; None if not told.

    A process that is not bound to cores ran on some of them, most likely those with the highest
    clock at that moment.
    """
    used = {str(cpu) for cpu in _cpus(results, entry, threads)}
    clocks: list[float] = []
    for block in results.blocks:
        if (block.entry, block.length, block.threads) != (entry, length, threads):
            continue
        khz = (block.after or {}).get("khz", {})
        seen = [value for cpu, value in khz.items() if cpu in used or not used]
        if seen:
            clocks.append(float(np.median(seen) if used else max(seen)))
    return float(np.median(clocks)) if clocks else None


def runner_versions(results: Results, entry: str, threads: int) -> Mapping[str, str]:
    """The versions that the entry's own runner reported; of a count, those of the emulator, too."""
    device = results.run.versions if results.run.device["emulated"] else {}
    return {name: version for name, version in device.items() if name != _OWN_VERSION} | {
        name: version
        for load in results.loads
        if (load.entry, load.threads) == (entry, threads)
        for name, version in load.versions.items()
    }


def version_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """For example ``onnxruntime 1.31.1 -> 1.32.0``."""
    return [
        f"{name} {before.get(name, 'none')} -> {after.get(name, 'none')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _only_timed(results: Results) -> bool:
    return bool(results.blocks) and not results.instructions


def _clock_warnings(results: Results) -> dict[str, BenchWarning]:
    """By code, what the run and each time that it went on say of the clocks."""
    warnings = [*results.run.warnings, *(item for one in results.resumes for item in one.warnings)]
    return {warning.code: warning for warning in warnings if warning.code in CLOCK_WARNINGS}


def _system(device: Mapping[str, Any]) -> str:
    builds = [str(device["extra"][name]) for name in _SYSTEM if name in device["extra"]]
    return " ".join([str(device["system"]), *builds])


def _cpus(results: Results, entry: str, threads: int) -> tuple[int, ...]:
    for load in results.loads:
        if (load.entry, load.threads) == (entry, threads):
            return tuple(sorted(load.cpus_got))
    return ()


def _plain(value: Any) -> Any:
    """Tuples and lists alike: a file read back has lists inside."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _differ(name: str, before: object, after: object) -> str:
    return f"The devices differ, {name}: {_words(before)} before, {_words(after)} after."


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        names = [item["name"] if isinstance(item, Mapping) else str(item) for item in value]
        return " ".join(names) or "none"
    return str(value)


def _list(cpus: tuple[int, ...]) -> str:
    return ",".join(map(str, cpus))
