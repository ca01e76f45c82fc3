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


def slowed(
    at_rest: Sequence[Round], last: Round, peak: str, conditions: Conditions, cpus: Sequence[int]
) -> str:
    """Why the round ``last`` (blocks by entry) is not to be trusted; "" where it is.

    ``at_rest``: rounds from when the run began, which tell how fast the device can be. ``peak`` is
    the id of the matrix product, the reference workload. ``cpus`` are the cores that compute; ()
    where any may.
    """
    if conditions.thermal_status is not None and conditions.thermal_status >= THERMAL_LIMIT:
        return f"the thermal status is {conditions.thermal_status}"
    before = [_time(measured[peak]) for measured in at_rest if peak in measured]
    if before and peak in last and (loss := _time(last[peak]) / min(before) - 1) > SLOWER_LIMIT:
        return f"the matrix product took {loss:.0%} longer than at first"
    for entry, block in last.items():
        known = [clock(measured[entry], cpus) for measured in at_rest if entry in measured]
        now = clock(block, cpus)
        if now and any(known) and (drop := 1 - now / max(known)) > CLOCK_LIMIT:
            return f"the fastest core ran {drop:.0%} below its first clock"
    return ""


def clock(block: BlockRecord, cpus: Sequence[int]) -> int:
    """The fastest clock in kHz right after the block, while the core is awake; 0 if untold.

    Of ``cpus`` alone; with () of all cores, since any of them may have computed.
    """
    khz = (block.after or {}).get("khz", {})
    return max((value for cpu, value in khz.items() if not cpus or int(cpu) in cpus), default=0)


def _time(block: BlockRecord) -> float:
    return float(median(block.wall_ns))
