"""What was wrong with a measurement, judged from its samples, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runtime_bench.gates import OTHER_LOAD_LIMIT
from runtime_bench.statistics import Blocks, Ratio, Samples

# Clocks of shared machines drift by 10 % between runs and by 2 to 3 % within one, so half of the
# former is the line between what every run shows and what should make one think.
DRIFT_LIMIT = 0.05
# Ten blocks without a trend reach this tau in 5 % of all cases.
TREND = 0.5
BLOCK_SPREAD_LIMIT = 0.05
# Two narrow modes: Ashman's D (1994, AJ 108, 2348; "clean" is D > 2 for a fitted mixture) after a
# hard split. A uniform distribution, the widest with one mode, has 3.5 there; a normal one 2.7.
MODE_SEPARATION = 5.0
MODE_SHARE = 0.15
MODE_DISTANCE = 0.05
INTERVAL_LIMIT = 0.03
STOLEN_LIMIT = 0.05
WAITING_LIMIT = 0.1
MINIMUM_SAMPLES = 30


@dataclass(frozen=True)
class Finding:
    """What a sample or a ratio shows. ``detail`` is the part that differs between entries."""

    code: str
    statement: str
    detail: str
    remedy: str


@dataclass(frozen=True)
class Evidence:
    """One entry's samples in one case, with what was seen beside them.

    ``wall`` and ``cpu`` by round, in one unit; ``other_load`` and ``stolen`` in cores by block.
    """

    wall: Blocks
    cpu: Blocks
    threads: int
    steady: bool
    other_load: Sequence[float]
    stolen: Sequence[float]


def instability(evidence: Evidence) -> list[Finding]:
    """What was unstable about one entry in one case."""
    found = []
    samples = np.concatenate(list(evidence.wall.values()))
    median = float(np.median(samples))
    centres = np.array([np.median(evidence.wall[index]) for index in sorted(evidence.wall)])
    if not evidence.steady:
        found.append(
            Finding(
                "warm-up",
                "not steady yet when the warm-up ended",
                "",
                "Give it longer with --warm-up-limit, and stop other processes.",
            )
        )
    if (moved := drift(centres)) > DRIFT_LIMIT:
        found.append(
            Finding(
                "drift",
                "the medians moved from the first third of the blocks to the last",
                f"by {moved:.0%}",
                "Let the machine cool or settle and run again; the ratios are interleaved and "
                "hold, the latencies do not.",
            )
        )
    elif (spread := float(np.median(np.abs(centres - median))) / median) > BLOCK_SPREAD_LIMIT:
        found.append(
            Finding(
                "block-spread",
                "the blocks differ from each other",
                f"by {spread:.0%}",
                "Stop other processes, or take more and longer blocks: --blocks 20 "
                "--seconds-per-block 1.",
            )
        )
    if is_bimodal(samples):
        found.append(
            Finding(
                "bimodal",
                "the samples fall into two groups, so the median may jump between them",
                "",
                "Fix the clocks, or keep the run on cores of one kind (taskset), and run again.",
            )
        )
    if (waited := _waiting(evidence)) > WAITING_LIMIT:
        found.append(
            Finding(
                "waiting",
                "it waited for a core",
                f"{waited:.0%} of the time",
                "Stop other processes; meanwhile the CPU time is the better figure.",
            )
        )
    load = float(np.median(evidence.other_load)) if evidence.other_load else 0.0
    if load > OTHER_LOAD_LIMIT:
        found.append(
            Finding(
                "other-load",
                "other processes kept cores busy",
                f"{load:.1f}",
                "Stop them and run again.",
            )
        )
    stolen = float(np.median(evidence.stolen)) if evidence.stolen else 0.0
    if stolen > STOLEN_LIMIT:
        found.append(
            Finding(
                "stolen",
                "the hypervisor took cores away",
                f"{stolen:.2f}",
                "Use a machine that is not shared.",
            )
        )
    return found


def interval_findings(ratio: Ratio) -> list[Finding]:
    """What is wrong with a ratio: no interval, or too wide to tell small differences apart."""
    if ratio.interval is None:
        return [
            Finding(
                "few-blocks",
                "too few common rounds for an interval",
                f"{ratio.rounds}",
                "Measure more: --blocks 10.",
            )
        ]
    half_width = (ratio.interval.high - ratio.interval.low) / 2 / ratio.value
    if half_width > INTERVAL_LIMIT:
        return [
            Finding(
                "wide-interval",
                "wide intervals",
                f"{half_width:.0%} to either side",
                f"Measure more: --blocks {2 * (ratio.rounds + ratio.rounds % 2)}.",
            )
        ]
    return []


def drift(centres: Samples) -> float:
    """Relative move of the block medians from the first third to the last.

    0 below 6 blocks, and 0 unless the medians also rise or fall steadily (Kendall's tau of
    TREND or more): a few slow blocks are no drift.
    """
    count = len(centres)
    third = count // 3
    if third < 2:
        return 0.0
    later, earlier = np.triu_indices(count, 1)[::-1]
    tau = float(np.sign(centres[later] - centres[earlier]).mean())
    if abs(tau) < TREND:
        return 0.0
    first, last = float(np.median(centres[:third])), float(np.median(centres[-third:]))
    return abs(last / first - 1)


def is_bimodal(samples: Samples) -> bool:
    """Whether the samples, without the outer 2.5 % on both sides, make two separate groups.

    They are split where the within-group variance is least; both groups must hold MODE_SHARE of
    the samples, their means lie MODE_DISTANCE apart, and Ashman's D exceed MODE_SEPARATION.
    """
    if samples.size < MINIMUM_SAMPLES:
        return False
    low, high = np.quantile(samples, (0.025, 0.975))
    centre = float(np.median(samples))
    # Centred first: the squares of nanoseconds would eat the digits of the variance.
    values = np.sort(samples[(samples >= low) & (samples <= high)]) - centre
    count = values.size
    if count < 2:
        return False
    sizes = np.arange(1, count)
    sums, squares = np.cumsum(values), np.cumsum(values**2)
    left_mean, right_mean = sums[:-1] / sizes, (sums[-1] - sums[:-1]) / (count - sizes)
    left_variance = squares[:-1] / sizes - left_mean**2
    right_variance = (squares[-1] - squares[:-1]) / (count - sizes) - right_mean**2
    within = np.maximum(left_variance, 0) * sizes + np.maximum(right_variance, 0) * (count - sizes)
    cut = int(np.argmin(within))
    if min(sizes[cut], count - sizes[cut]) < MODE_SHARE * count:
        return False
    distance = float(right_mean[cut] - left_mean[cut])
    spread = float(np.sqrt(max(left_variance[cut] + right_variance[cut], 0.0)))
    clear = distance > MODE_DISTANCE * centre
    return clear and distance * np.sqrt(2) > MODE_SEPARATION * spread


def _waiting(evidence: Evidence) -> float:
    """Share of the wall time without CPU time, at one thread (threads wait for each other)."""
    if evidence.threads != 1:
        return 0.0
    wall = float(np.median(np.concatenate(list(evidence.wall.values()))))
    cpu = float(np.median(np.concatenate(list(evidence.cpu.values()))))
    return max(0.0, 1 - cpu / wall)
