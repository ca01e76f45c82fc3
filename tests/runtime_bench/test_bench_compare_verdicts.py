"""Verdicts on ratios whose truth is known, and on whole simulated runs."""

from collections import Counter

import numpy as np
import pytest
from simulated_runs import Noise, Simulation, entry, simulate

from runtime_bench.comparison.compare import compare_results
from runtime_bench.comparison.verdicts import Verdict, judge, judge_instructions
from runtime_bench.statistics import Interval, Ratio

CALM = Noise(0.01, 0.01)
HEAVY = Noise(0.01, 0.01, heavy=True)
OUTLIERS = Noise(0.005, 0.02, outliers=0.05)


def measured(value: float, half: float, rounds: int = 10) -> Ratio:
    return Ratio(value, Interval(value * (1 - half), value * (1 + half)), rounds, "")


@pytest.mark.parametrize(
    ("value", "half", "verdict"),
    [
        (1.10, 0.02, Verdict.FASTER),
        (0.90, 0.02, Verdict.SLOWER),
        (1.00, 0.02, Verdict.SAME),
        (1.02, 0.005, Verdict.SAME),  # a real difference, but smaller than what counts
        (1.00, 0.05, Verdict.NOISY),
        (1.02, 0.015, Verdict.NOISY),  # the interval reaches over the limit
        (1.05, 0.06, Verdict.NOISY),  # the interval holds 1
    ],
)
def test_the_verdict_follows_from_the_interval_and_the_limit(
    value: float, half: float, verdict: Verdict
) -> None:
    assert judge(measured(value, half), ()).verdict is verdict
    assert judge(measured(1 / value, half), ()).verdict is {
        Verdict.FASTER: Verdict.SLOWER,
        Verdict.SLOWER: Verdict.FASTER,
    }.get(verdict, verdict)


def test_the_limit_is_the_users() -> None:
    assert judge(measured(1.04, 0.005), ()).verdict is Verdict.FASTER
    assert judge(measured(1.04, 0.005), (), limit=0.05).verdict is Verdict.SAME


@pytest.mark.parametrize(
    ("value", "shift", "verdict"),
    [
        (1.05, 1.04, Verdict.NOISY),  # the device became faster, perhaps that is all
        (0.95, 0.96, Verdict.NOISY),
        (1.10, 1.04, Verdict.FASTER),  # more than the device alone would give
        (1.10, 0.96, Verdict.FASTER),
        (0.90, 0.96, Verdict.SLOWER),
        (1.00, 1.04, Verdict.NOISY),  # perhaps slower, behind a device that became faster
    ],
)
def test_what_the_device_itself_changed_by_can_explain_a_difference(
    value: float, shift: float, verdict: Verdict
) -> None:
    found = judge(measured(value, 0.005), (shift,))
    assert found.verdict is verdict
    assert found.interval is not None
    assert found.interval.low <= value / shift <= found.interval.high


def test_noise_is_told_with_the_rounds_that_would_do() -> None:
    # The interval's half width, 5 %, must shrink to 3 %: (5 / 3)^2 times as many rounds.
    reason = judge(measured(1.0, 0.05, 10), ()).reason
    assert "--blocks 30" in reason
    # As above, but for a difference of 10 %, from 12 % wide intervals.
    assert "--blocks 18" in judge(measured(1.1, 0.12, 10), ()).reason
    # A difference at the very limit cannot be told by any number of rounds.
    assert "--baseline" in judge(measured(1.03, 0.02), ()).reason
    assert "changed by 5.0%" in judge(measured(1.0, 0.001), (1.05,)).reason
    few = judge(Ratio(1.0, None, 1, "undecided"), ())
    assert (few.verdict, few.interval) == (Verdict.NOISY, None)
    assert few.reason.startswith("1 round is too few")
    assert "--blocks 6" in few.reason


def test_instructions_are_compared_exactly() -> None:
    assert judge_instructions([5, 5, 5], [5, 5, 5]).reason == "exactly as many instructions"
    found = judge_instructions([1_000_000] * 3, [1_000_900] * 3)
    assert found.verdict is Verdict.SAME
    assert "+900 instructions" in found.reason
    assert judge_instructions([1_000_000] * 3, [1_001_100] * 3).verdict is Verdict.MORE
    assert judge_instructions([1_000_000] * 3, [998_900] * 3).verdict is Verdict.FEWER
    assert judge_instructions([1000], [1001], limit=0).verdict is Verdict.MORE


def verdicts(
    effect: float, noise: Noise, *, device: float = 0.0, runs: int = 60
) -> Counter[Verdict]:
    """Verdicts on pairs of runs; the later one is ``effect`` times as fast, and the whole device
    differs from run to run by a relative deviation of ``device``."""
    generator = np.random.default_rng(41)
    found: Counter[Verdict] = Counter()
    for seed in range(runs):
        times = {"e1": 20.0, "peak": 6.0}
        factor = float(np.exp(generator.normal(0, device)))
        later = {"e1": 20.0 / effect * factor, "peak": 6.0 * factor}
        before, after = (
            simulate(Simulation([entry("e1")], each, noise, samples=8, seed=2 * seed + place))
            for place, each in enumerate((times, later))
        )
        found[compare_results(before, after).changes[0].verdict] += 1
    return found


@pytest.mark.parametrize("noise", [CALM, HEAVY, OUTLIERS], ids=str)
def test_equal_runs_raise_no_false_alarm(noise: Noise) -> None:
    found = verdicts(1.0, noise)
    assert found[Verdict.FASTER] + found[Verdict.SLOWER] <= 1
    assert found[Verdict.SAME] >= 42


def test_a_device_that_changed_between_the_runs_raises_no_false_alarm() -> None:
    found = verdicts(1.0, CALM, device=0.03)
    assert found[Verdict.FASTER] + found[Verdict.SLOWER] <= 3
    assert found[Verdict.INCOMPARABLE] > 0
    # Without the matrix product as the reference, the same runs do.
    blind = Counter(
        judge(measured(float(np.exp(shift)), 0.012), ()).verdict
        for shift in np.random.default_rng(41).normal(0, 0.03, 100)
    )
    assert blind[Verdict.FASTER] + blind[Verdict.SLOWER] > 20


@pytest.mark.parametrize("noise", [CALM, HEAVY, OUTLIERS], ids=str)
@pytest.mark.parametrize(("effect", "verdict"), [(1.1, Verdict.FASTER), (1 / 1.1, Verdict.SLOWER)])
def test_ten_percent_are_found(noise: Noise, effect: float, verdict: Verdict) -> None:
    assert verdicts(effect, noise, runs=15)[verdict] == 15
