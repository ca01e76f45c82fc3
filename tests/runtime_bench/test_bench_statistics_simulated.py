"""What the statistics promise of whole runs: coverage, drift and outliers, on simulated data."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from simulated_runs import Noise, samples

from runtime_bench.plan import Entry
from runtime_bench.schedule import order
from runtime_bench.statistics import Blocks, independent_ratio, median_interval, ratio

RUNS = 400
CALM = Noise(0.005, 0.02)
HEAVY = Noise(0.01, 0.01, heavy=True)
OUTLIERS = Noise(0.01, 0.01, outliers=0.05)
Order = Callable[[Sequence[Entry], bool], list[Entry]]


def side(generator: np.random.Generator, centre: float, noise: Noise, rounds: int) -> Blocks:
    return {index: samples(generator, centre, noise, 4) for index in range(rounds)}


# 95 % of 400 is 380, one standard deviation 4.4: 372 is the 93 % that are promised at least.
# Measured: 389 and 385 for ratios, 393 for two runs, 385 for medians.
@pytest.mark.parametrize(("noise", "rounds"), [(HEAVY, 10), (OUTLIERS, 6)])
def test_the_interval_of_a_ratio_covers_the_truth(noise: Noise, rounds: int) -> None:
    generator = np.random.default_rng(17)
    covered = 0
    for run in range(RUNS):
        found = ratio(
            side(generator, 3.0, noise, rounds), side(generator, 1.0, noise, rounds), seed=run
        ).interval
        assert found is not None
        covered += found.low <= 3.0 <= found.high
    assert covered >= 372


def test_the_interval_of_two_runs_covers_the_truth() -> None:
    generator = np.random.default_rng(23)
    covered = 0
    for run in range(RUNS):
        one, other = side(generator, 3.0, HEAVY, 10), side(generator, 1.0, HEAVY, 6)
        found = independent_ratio(one, other, seed=run).interval
        assert found is not None
        covered += found.low <= 3.0 <= found.high
    assert covered >= 372


def test_the_interval_of_a_median_covers_the_truth() -> None:
    generator = np.random.default_rng(29)
    covered = 0
    for run in range(RUNS):
        found = median_interval(side(generator, 3.0, HEAVY, 10), seed=run)
        assert found is not None
        covered += found.low <= 3.0 <= found.high
    assert covered >= 372


def test_two_runs_are_not_paired_by_their_rounds() -> None:
    # Both runs drift alike from round to round; paired, that would cancel and look exact.
    generator = np.random.default_rng(2)
    drift = np.linspace(1.0, 1.3, 10)
    one, other = (
        {index: factor * samples(generator, 1.0, CALM, 12) for index, factor in enumerate(drift)}
        for _ in range(2)
    )
    paired, apart = ratio(one, other).interval, independent_ratio(one, other).interval
    assert paired is not None
    assert apart is not None
    assert apart.high - apart.low > 2 * (paired.high - paired.low)


def test_two_runs_of_other_lengths_and_too_few_rounds() -> None:
    one = {index: np.full(3, 4.0) for index in range(9)}
    other = {index: np.full(3, 2.0) for index in range(100, 106)}
    found = independent_ratio(one, other)
    assert (found.value, found.rounds, found.verdict) == (2.0, 6, "faster")
    assert independent_ratio(other, one).verdict == "slower"
    few = independent_ratio(one, {index: other[index] for index in range(100, 105)})
    assert (few.value, few.interval, few.verdict) == (2.0, None, "undecided")


def drifting(
    orderer: Order,
    count: int,
    rounds: int,
    lasts: Sequence[float],
    drift: float,
    noise: Noise | None = None,
    seed: int = 0,
) -> list[Blocks]:
    """Equal entries on a device that slows down steadily by ``drift`` over the run; the blocks of
    entry i take ``lasts[i]``."""
    generator = np.random.default_rng(seed)
    entries = [Entry(f"e{index}", "", (), "onnx", None, None) for index in range(count)]
    turns = [
        (index, int(entry.id[1:]))
        for index in range(rounds)
        for entry in orderer(entries, index % 2 == 0)
    ]
    total, now = sum(lasts[place] for _, place in turns), 0.0
    blocks: list[dict[int, np.ndarray]] = [{} for _ in entries]
    for index, place in turns:
        moments = now + np.linspace(0, lasts[place], 12)
        now += lasts[place]
        block = samples(generator, 1.0, noise, 12) if noise else np.ones(12)
        blocks[place][index] = block * (1 + drift * moments / total)
    return [*blocks]


def worst_error(blocks: Sequence[Blocks]) -> float:
    """The largest error of a ratio of two entries that are equally fast."""
    return max(abs(ratio(one, other).value - 1) for one in blocks for other in blocks)


@pytest.mark.parametrize(("count", "rounds"), [(2, 6), (2, 10), (3, 6), (8, 6), (8, 10)])
@pytest.mark.parametrize("lasts", [(1.0,), (1.0, 4.0)])
def test_a_steady_drift_cancels_from_every_ratio(
    count: int, rounds: int, lasts: tuple[float, ...]
) -> None:
    lengths = [lasts[place % len(lasts)] for place in range(count)]
    assert worst_error(drifting(order, count, rounds, lengths, 0.2)) <= 0.001

    # Without the reversal (A B A B) and without interleaving (A A B B) it does not.
    def straight(entries: Sequence[Entry], _: bool) -> list[Entry]:
        return list(entries)

    assert worst_error(drifting(straight, count, rounds, lengths, 0.2)) > 0.005
    alone = [
        {index: np.full(12, 1 + 0.2 * (run + index / rounds) / 2) for index in range(rounds)}
        for run in range(2)
    ]
    assert worst_error(alone) > 0.05


def test_a_drift_adds_no_error_to_that_of_the_noise() -> None:
    # The mean error of 60 runs that drift by 20 %, beside that of the same runs without drift.
    errors = [
        np.mean(
            [
                np.log(ratio(*drifting(order, 2, 10, (1.0, 1.0), drift, CALM, seed)).value)
                for seed in range(60)
            ]
        )
        for drift in (0.0, 0.2)
    ]
    assert abs(errors[1] - errors[0]) <= 0.005


@pytest.mark.parametrize(("scale", "verdict"), [(1.1, "faster"), (1 / 1.1, "slower")])
def test_outliers_do_not_move_the_verdict(scale: float, verdict: str) -> None:
    # One sample in twenty takes ten times as long, on the side of the baseline only: a ratio of
    # means would say "faster" whatever the truth is.
    generator = np.random.default_rng(31)
    clean = Noise(OUTLIERS.block, OUTLIERS.sample)
    means = []
    for _ in range(50):
        baseline, subject = side(generator, scale, OUTLIERS, 10), side(generator, 1.0, clean, 10)
        assert ratio(baseline, subject).verdict == verdict
        means.append(np.mean(list(baseline.values())) / np.mean(list(subject.values())))
    assert np.mean(means) > 1.2 * scale
