"""Whether a device slowed down while it was measured."""

from collections.abc import Mapping, Sequence
from statistics import median

from runtime_bench.devices.base import Conditions
from runtime_bench.records import BlockRecord

# A phone that throttles is 9 to 51 % slower from run to run; within a run, a machine that does not
# throttle moves by 2 to 3 % (stability.py). The limit lies between.
SLOWER_LIMIT = 0.08
CLOCK_LIMIT = 0.08
# Android's THERMAL_STATUS_MODERATE, from which on the system may slow the cores down.
THERMAL_LIMIT = 2

Round = Mapping[str, BlockRecord]


def slowed(rounds: Sequence[Round], peak: str, conditions: Conditions) -> str:
    """Why the last of ``rounds`` (blocks by entry) is not to be trusted; "" where it is.

    Rounds that counted come before it. ``peak`` is the id of the matrix product, the reference
    workload. The first two rounds say how fast it and the clocks are on a device at rest.
    """
    if conditions.thermal_status is not None and conditions.thermal_status >= THERMAL_LIMIT:
        return f"the thermal status is {conditions.thermal_status}"
    if len(rounds) < 2:
        return ""
    first, last = rounds[:2], rounds[-1]
    before = [_time(measured[peak]) for measured in first if peak in measured]
    if before and peak in last and (loss := slower(before, _time(last[peak]))) > SLOWER_LIMIT:
        return f"the matrix product took {loss:.0%} longer than at first"
    for entry, block in last.items():
        clocks = [clock(measured[entry]) for measured in first if entry in measured]
        known = [value for value in clocks if value]
        now = clock(block)
        if known and now and (drop := 1 - now / max(known)) > CLOCK_LIMIT:
            return f"the fastest core ran {drop:.0%} below its first clock"
    return ""


def slower(before: Sequence[float], now: float) -> float:
    """How much longer ``now`` is than the shortest of ``before``, as a share."""
    return now / min(before) - 1


def clock(block: BlockRecord) -> int:
    """The fastest clock in kHz right after the block, while the core is still awake; 0 if untold.

    Of the cores that computed nothing is known but that one of them was the fastest.
    """
    khz = (block.after or {}).get("khz", {})
    return max(khz.values(), default=0)


def _time(block: BlockRecord) -> float:
    return float(median(block.wall_ns))
