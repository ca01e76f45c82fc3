"""How numbers are written, the same in every format."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from runtime_bench.labels import cpu_list
from runtime_bench.report.conditions import Battery, Pause
from runtime_bench.report.content import CaseContent, Content, EntryContent, Row
from runtime_bench.report.instructions import InstructionRow
from runtime_bench.report.starts import StartRow, StartTimes
from runtime_bench.statistics import Interval, Ratio

_N = TypeVar("_N", int, float)
# What a warning (conditions.CLOCK_WARNINGS; "": none) says of a phone's fixed-performance mode.
_FIXED = {
    "": "on, and read back",
    "fixed-performance": "the phone has none",
    "clocks-unread": "on, but the clocks could not be read back",
    "clocks-not-fixed": "taken, but the clocks kept their limits",
}


def milliseconds(value: float) -> str:
    """Three significant digits, without exponent: 0.123, 4.56, 78.9, 123."""
    for limit, digits in ((1, 3), (10, 2), (100, 1)):
        if value < limit:
            return f"{value:.{digits}f}"
    return f"{value:.0f}"


def megabytes(count: int) -> str:
    """Decimal megabytes, as download sizes are given."""
    return f"{count / 1e6:.1f}" if count < 1e8 else f"{count / 1e6:.0f}"


def times(ratio: Ratio) -> str:
    """``3.31x [3.25, 3.38]``: the ratio and its 95 % interval."""
    return f"{ratio.value:.2f}x {interval(ratio.interval)}"


def interval(value: Interval | None) -> str:
    return f"[{value.low:.2f}, {value.high:.2f}]" if value else "[no interval]"


def known(value: _N | None, words: Callable[[_N], str] = milliseconds) -> str:
    """``value`` in words; a dash where it is not known."""
    return "-" if value is None else words(value)


def emulation(content: Content) -> str:
    """What must stand at the top of a report of an emulated device; "" for a real one."""
    if not content.emulated:
        return ""
    if not any(case.instructions for case in content.cases):
        return (
            "EMULATED: this is no real device. Its timings would say nothing of a phone's, and "
            "this report holds none."
        )
    return (
        f"EMULATED{profiles(content)}: executed instructions per inference were counted here. "
        "They are no latencies, and this report holds none."
    )


def instructions_title(case: CaseContent) -> str:
    profiles = " and ".join(dict.fromkeys(row.profile for row in case.instructions))
    return f"Instructions per inference (emulated, {profiles}): {case.length} tokens"


def extra_columns(case: CaseContent) -> list[tuple[str, Callable[[Row], str]]]:
    """Columns of a table of latencies that only some devices can fill: title and cell."""
    found: list[tuple[str, Callable[[Row], str]]] = []
    if any(row.pss_bytes is not None for row in case.rows):
        found.append(("PSS MB", lambda row: known(row.pss_bytes, megabytes)))
    if any(row.energy_mj is not None for row in case.rows):
        found.append(("energy mJ", lambda row: known(row.energy_mj)))
    return found


def start(times: StartTimes | None) -> tuple[str, str, str]:
    """Load, first inference, and both, of cold or warm starts."""
    if times is None:
        return "-", "-", "-"
    both = times.load_ms + times.first_ms
    return milliseconds(times.load_ms), milliseconds(times.first_ms), milliseconds(both)


def cold_starts(rows: Sequence[StartRow]) -> str:
    """What a cold start was, as far as it was recorded; "" where there is none."""
    cold = [row for row in rows if row.cold is not None]
    stayed = [f"{row.entry} {megabytes(row.cached_bytes)} MB" for row in cold if row.cached_bytes]
    if not cold:
        return ""
    if all(row.cached_bytes == 0 for row in cold):
        return "Cold: the file had left the system's page cache."
    words = "Cold: the file was to leave the system's page cache first"
    if stayed:
        return f"{words}. A part stayed, so these starts were not fully cold: {'; '.join(stayed)}."
    return f"{words}; whether it did is not known of every start."


def spread(row: InstructionRow) -> str:
    """How far the counts of repeated inferences lie apart."""
    if row.inferences == 1:
        return "1 inference"
    apart = f"{row.spread:,} apart" if row.spread else "all equal"
    return f"{row.inferences} inferences, {apart}"


def phase(row: InstructionRow, name: str) -> str:
    return f"{row.phases[name]:,}" if name in row.phases else "-"


def device_facts(content: Content) -> list[tuple[str, str]]:
    """What is known beyond the device's name: name and value, nothing that was not told."""
    device, conditions = content.device, content.conditions
    facts = []
    if clusters := device.get("clusters"):
        facts.append(("clusters", "; ".join(_cluster(item) for item in clusters)))
    if content.cores_used:
        facts.append(("cores used", content.cores_used))
    if device["kind"] == "adb" and not content.emulated:
        states = dict.fromkeys(_FIXED[code] for code in conditions.clocks)
        facts.append(("fixed-performance mode", "; after an interruption: ".join(states)))
    if battery := conditions.battery:
        facts.append(("battery", _battery(battery)))
    if conditions.thermal_status is not None:
        facts.append(("highest thermal status", str(conditions.thermal_status)))
    return facts


def pause(item: Pause) -> str:
    """One pause in words."""
    after = "it went on" if item.recovered else "it had not recovered and went on all the same"
    return (
        f"At {item.seconds / 60:.1f} min, {item.length} tokens, {threads(item.threads)}: "
        f"{item.reason}. Waited {item.waited_s:.0f} s, then {after}; round {item.dropped} was "
        "measured again."
    )


def profiles(content: Content) -> str:
    """The emulated processors of the counts, in brackets; "" without counts."""
    names = dict.fromkeys(row.profile for case in content.cases for row in case.instructions)
    return f" ({', '.join(names)})" if names else ""


def _cluster(cluster: Mapping[str, Any]) -> str:
    clock = f" up to {cluster['maximum_khz'] / 1e6:.2f} GHz" if cluster["maximum_khz"] else ""
    return f"{cluster['name']}: {cpu_list(cluster['cpus'])}{clock}"


def _battery(battery: Battery) -> str:
    parts = []
    if battery.percent:
        parts.append(f"{battery.percent[0]:.0f} % to {battery.percent[1]:.0f} %")
    if battery.celsius:
        parts.append(f"{battery.celsius[0]:.1f} to {battery.celsius[1]:.1f} \u00b0C")
    if battery.charging is not None:
        parts.append("charging" if battery.charging else "not charging")
    return ", ".join(parts)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def cosine(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"


def weights(entry: EntryContent) -> str:
    return "trained" if entry.trained else "seeded (untrained)"


def threads(count: int) -> str:
    return f"{count} thread" + ("" if count == 1 else "s")


def cores(count: int) -> str:
    return f"{count} core" + ("" if count == 1 else "s")


def accuracy(entry: EntryContent) -> str:
    """The accuracy the manifest holds, for example ``93.1 %``; a dash where it holds none."""
    value: Any = (entry.accuracy or {}).get("accuracy")
    return f"{value:.1%}" if isinstance(value, int | float) else "-"


def device_line(device: Mapping[str, Any]) -> str:
    virtual = ", virtual machine" if device["extra"].get("virtual_machine") else ""
    emulated = "EMULATED, " if device["emulated"] else ""
    return f"{emulated}{device['model']}, {cores(device['cores'])}, {device['system']}{virtual}"


def millisecond_interval(value: Interval | None) -> str:
    return f"[{milliseconds(value.low)}, {milliseconds(value.high)}]" if value else "-"


def peak_line(gflops: float) -> str:
    return (
        f"The fp32 matrix product in the same run: {gflops:.0f} GFLOP/s. Shares of peak are "
        "against it and from nominal FLOPs: those of the architecture, whether or not an artifact "
        "computes all of them. int8 can exceed 100 %."
    )


def versions_line(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
