"""How numbers are written, the same in every format."""

from collections.abc import Mapping
from typing import Any

from runtime_bench.report.content import Content, EntryContent
from runtime_bench.statistics import Interval, Ratio


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


def method(content: Content) -> tuple[str, ...]:
    """How it was measured, as paragraphs."""
    settings = content.settings
    return (
        f"Every artifact lives in its own process, and one process computes at any time. "
        f"{settings['blocks']} rounds for each case; within a round every artifact runs for "
        f"{settings['seconds_per_block']:g} s (at least {settings['minimum_iterations']} "
        "inferences), in forward order in one round and in reverse in the next (A B B A), so that "
        "a steady drift of the clock cancels from the ratios.",
        "Before a case each artifact warms up for at least 0.3 s and until the medians of two "
        "neighbouring windows of 3 inferences agree within 5 %. The first 0.15 s of each block "
        "lead in and are not counted.",
        "A ratio is the baseline's median wall time divided by the artifact's: above 1 the "
        "artifact is faster. Its 95 % interval comes from resampling whole rounds, the same for "
        "both sides (expanded percentile bootstrap).",
        "CPU is the median CPU time, summed over all threads. Load is the time to open the file, "
        "with the file in the page cache. Memory is the largest resident memory of the process up "
        "to that case, less what the runner and its runtime took before they opened the file. "
        "MAD is the median absolute deviation.",
        "Input: seeded random token ids, batch 1, no padding; default session options of the "
        "runtime apart from the thread count. Processes are not pinned to CPUs: the system's "
        "scheduler places all of them alike.",
    )
