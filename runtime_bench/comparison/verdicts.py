"""From a ratio of two runs to a verdict. Works on numbers; knows no files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from runtime_bench.stability import INTERVAL_LIMIT
from runtime_bench.statistics import MINIMUM_ROUNDS, Interval, Ratio

# What counts as a difference. Within one run the clocks of shared machines move by 2 to 3 %
# (stability.py), so that two runs that agree better than this cannot be told apart.
EFFECT_LIMIT = INTERVAL_LIMIT
# Of one model with the same libraries ExecuTorch's totals repeat exactly, the medians of ONNX
# Runtime's in two processes to 0.01 % and its single inferences to 0.1 %. (Another build of the C
# library moves them by more; it is another version, and not compared.)
INSTRUCTION_LIMIT = 0.001
# Above this many rounds the advice is to measure both in one run instead.
MOST_ROUNDS = 100


class Verdict(StrEnum):
    """What can be said of an artifact in a case.

    FEWER and MORE are said of instructions, which are no time; FASTER, SLOWER and NOISY of times.
    MISSING is only in the run before; FAILED crashed, or answered wrongly, in the later one.
    """

    FASTER = "FASTER"
    SLOWER = "SLOWER"
    FEWER = "FEWER"
    MORE = "MORE"
    SAME = "SAME"
    NOISY = "NOISY"
    INCOMPARABLE = "INCOMPARABLE"
    MISSING = "MISSING"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Judgement:
    """``interval``: of how many times as fast the later run is, with the device's own change in it;
    None where there are too few rounds."""

    verdict: Verdict
    interval: Interval | None
    reason: str


def judge(found: Ratio, shifts: Sequence[float], limit: float = EFFECT_LIMIT) -> Judgement:
    """The verdict on ``found``, how many times as fast the later run is.

    The two runs were not interleaved, so the device may have changed between them. ``shifts`` say
    how many times as fast those became in the later run that had no reason to change. Whether the
    artifact shared such a change is unknown; therefore every statement must hold with and without
    it, and the interval reaches over both.

    FASTER and SLOWER: the interval excludes 1 and the effect is above ``limit``. SAME: the whole
    interval lies within ``limit`` of 1 (an equivalence test). NOISY: anything else.
    """
    factors = (1.0, *shifts)
    least, most = found.value / max(factors), found.value / min(factors)
    if found.interval is None:
        return Judgement(
            Verdict.NOISY,
            None,
            f"{_rounds(found.rounds)} too few for an interval. Measure again with --blocks "
            f"{MINIMUM_ROUNDS} or more.",
        )
    interval = Interval(found.interval.low / max(factors), found.interval.high / min(factors))
    if interval.low > 1 and least > 1 + limit:
        return Judgement(Verdict.FASTER, interval, f"{found.value:.2f} times as fast as before")
    if interval.high < 1 and most < 1 / (1 + limit):
        return Judgement(
            Verdict.SLOWER, interval, f"takes {1 / found.value:.2f} times as long as before"
        )
    if interval.low >= 1 / (1 + limit) and interval.high <= 1 + limit:
        return Judgement(Verdict.SAME, interval, f"no difference above {limit:.0%}")
    return Judgement(Verdict.NOISY, interval, _undecided(found, interval, least, most, limit))


def judge_instructions(
    before: Sequence[int], after: Sequence[int], limit: float = INSTRUCTION_LIMIT
) -> Judgement:
    """The verdict on executed instructions of single inferences, which repeat almost exactly.

    SAME: the medians differ by at most ``limit``; the exact difference is in the reason.
    """
    one, other = _middle(before), _middle(after)
    difference = other - one
    words = f"{difference:+,} instructions ({difference / one:+.3%})"
    if difference == 0:
        return Judgement(Verdict.SAME, None, "exactly as many instructions")
    if abs(difference) <= limit * one:
        return Judgement(Verdict.SAME, None, f"{words}, within {limit:.1%}")
    return Judgement(Verdict.FEWER if difference < 0 else Verdict.MORE, None, words)


def _undecided(found: Ratio, interval: Interval, least: float, most: float, limit: float) -> str:
    """Why nothing can be said, and how many rounds would do: half the width goes with 1/sqrt."""
    assert found.interval is not None
    half = math.log(found.interval.high / found.interval.low) / 2
    reach = math.log1p(limit)
    if least > 1 + limit:
        margin = math.log(least)
    elif most < 1 / (1 + limit):
        margin = -math.log(most)
    else:
        margin = min(reach - math.log(most), reach + math.log(least))
    between = f"between {interval.low:.2f} and {interval.high:.2f} times as fast"
    needed = math.inf if margin <= 0 else found.rounds * (half / margin) ** 2
    if needed <= MOST_ROUNDS:
        rounds = max(2 * math.ceil(needed / 2), found.rounds + 2)
        return f"{between}. About {rounds} rounds in both runs would tell: --blocks {rounds}."
    if most / least > 1 + limit:
        return (
            f"{between}. The device itself changed by {most / least - 1:.1%} between the runs; "
            "measure both in one run, one as the --baseline of the other."
        )
    return (
        f"{between}, too near to the limit of {limit:.0%} to tell from two runs. Measure both in "
        "one run, one as the --baseline of the other."
    )


def _middle(counts: Sequence[int]) -> int:
    """The lower median: a count that was observed, so that differences stay whole numbers."""
    return sorted(counts)[(len(counts) - 1) // 2]


def _rounds(count: int) -> str:
    return f"{count} round is" if count == 1 else f"{count} rounds are"
