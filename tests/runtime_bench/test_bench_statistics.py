"""Properties of the statistics, on simulated data whose truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_bench.statistics import (
    MINIMUM_ROUNDS,
    Blocks,
    Interval,
    median_interval,
    ratio,
    student_quantile,
    summarise,
)

seeds = st.integers(0, 2**32 - 1)


def simulated(
    generator: np.random.Generator,
    centre: float,
    common: np.ndarray,
    own: float = 0.02,
    sample: float = 0.01,
) -> Blocks:
    """Blocks of 15 samples: ``centre`` with a disturbance of each round that both entries share
    (``common``), one of each block (deviation ``own``), one of each sample (``sample``)."""
    blocks = common + generator.normal(0, own, common.size)
    return {
        index: centre * np.exp(block + generator.normal(0, sample, 15))
        for index, block in enumerate(blocks)
    }


@pytest.mark.parametrize(("own", "sample"), [(0.02, 0.01), (0.005, 0.02)])
def test_the_interval_covers_the_true_ratio_as_often_as_it_says(own: float, sample: float) -> None:
    # 95 % of 400 is 380, one standard deviation 4.4. Measured: 386 and 385; with the plain
    # percentile interval 373 and 367; resampling single samples, not rounds, 177 and 355.
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        sides = [simulated(generator, centre, np.zeros(10), own, sample) for centre in (3.0, 1.0)]
        found = ratio(*sides).interval
        assert found is not None
        covered += found.low <= 3.0 <= found.high
    assert 376 <= covered <= 398


def test_what_hits_both_sides_of_a_round_does_not_widen_the_interval() -> None:
    generator = np.random.default_rng(3)
    calm, stormy = np.zeros(10), generator.normal(0, 0.3, 10)
    state = generator.bit_generator.state
    narrow = ratio(simulated(generator, 2.0, calm), simulated(generator, 1.0, calm)).interval
    generator.bit_generator.state = state
    wide = ratio(simulated(generator, 2.0, stormy), simulated(generator, 1.0, stormy)).interval
    assert narrow is not None
    assert wide is not None
    # Resampling both sides apart gives a width of 2.4.
    assert wide.high - wide.low < 0.3


@given(seeds, st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_the_unit_does_not_matter(seed: int, factor: float) -> None:
    generator = np.random.default_rng(seed)
    common = generator.normal(0, 0.02, 6)
    one, other = simulated(generator, 5, common), simulated(generator, 4, common)
    plain = ratio(one, other)
    scaled = ratio(
        {index: block * factor for index, block in one.items()},
        {index: block * factor for index, block in other.items()},
    )
    assert scaled.value == pytest.approx(plain.value)
    assert scaled.verdict == plain.verdict


@given(seeds, st.integers(0, 7), st.integers(0, 14))
@settings(max_examples=40, deadline=None)
def test_one_outlier_does_not_move_the_verdict(seed: int, place: int, sample: int) -> None:
    generator = np.random.default_rng(seed)
    common = generator.normal(0, 0.01, 8)
    baseline, subject = simulated(generator, 1.2, common), simulated(generator, 1.0, common)
    before = ratio(baseline, subject)
    subject[place][sample] *= 1000
    after = ratio(baseline, subject)
    assert after.verdict == before.verdict == "faster"
    assert after.value == pytest.approx(before.value, rel=0.005)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_the_order_of_samples_within_a_block_does_not_matter(seed: int) -> None:
    generator = np.random.default_rng(seed)
    common = generator.normal(0, 0.02, 6)
    one, other = simulated(generator, 2, common), simulated(generator, 1, common)
    shuffled = {index: generator.permutation(block) for index, block in one.items()}
    assert ratio(shuffled, other) == ratio(one, other)


@given(st.lists(st.lists(st.floats(1, 1e6), min_size=1, max_size=9), min_size=1, max_size=6))
@settings(deadline=None)
def test_ratio_and_summary_agree_with_plain_medians(blocks: list[list[float]]) -> None:
    one = {index: np.array(block) for index, block in enumerate(blocks)}
    other = {index: np.array([2.0]) for index in one}
    pooled = np.concatenate(list(one.values()))
    assert ratio(one, other).value == pytest.approx(np.median(pooled) / 2)
    summary = summarise(one)
    assert summary.median == pytest.approx(np.median(pooled))
    assert summary.minimum <= summary.median <= summary.p90 <= summary.p99
    assert summary.samples == pooled.size


def test_only_common_rounds_are_compared() -> None:
    baseline = {index: np.full(3, 2.0) for index in range(5)} | {9: np.full(3, 99.0)}
    subject = {index: np.full(3, 1.0) for index in range(5)} | {8: np.full(3, 99.0)}
    assert ratio(baseline, subject).value == 2.0
    assert ratio(baseline, subject).rounds == 5
    with pytest.raises(ValueError, match="no round in common"):
        ratio({1: np.ones(3)}, {2: np.ones(3)})


def test_too_few_rounds_give_no_interval_and_no_verdict() -> None:
    blocks = {index: np.full(3, 2.0) for index in range(MINIMUM_ROUNDS - 1)}
    halves = {index: block / 2 for index, block in blocks.items()}
    found = ratio(blocks, halves)
    assert (found.value, found.interval, found.verdict) == (2.0, None, "undecided")
    assert median_interval(blocks) is None
    enough = {**blocks, 99: np.full(3, 2.0)}
    assert ratio(enough, {**halves, 99: np.full(3, 1.0)}).verdict == "faster"
    assert median_interval(enough) == Interval(2.0, 2.0)


@pytest.mark.parametrize(
    ("own", "sample", "heavy"), [(0.02, 0.01, 0.0), (0.005, 0.02, 0.0), (0.0, 0.01, 0.02)]
)
def test_the_fewest_rounds_with_an_interval_are_enough_for_one(
    own: float, sample: float, heavy: float
) -> None:
    # 95 % of 400 is 380, one standard deviation 4.4. Measured with 6 rounds: 385, 378, 388; with 4:
    # 350, 371, 352. ``heavy`` scales a Student's t with 3 degrees of freedom for each block.
    generator = np.random.default_rng(11)
    covered = 0
    for _ in range(400):
        sides = [
            simulated(
                generator, centre, heavy * generator.standard_t(3, MINIMUM_ROUNDS), own, sample
            )
            for centre in (3.0, 1.0)
        ]
        found = ratio(*sides).interval
        assert found is not None
        covered += found.low <= 3.0 <= found.high
    assert covered >= 376


@pytest.mark.parametrize(
    ("scale", "verdict"), [(1.2, "faster"), (1 / 1.2, "slower"), (1.0, "undecided")]
)
def test_verdicts(scale: float, verdict: str) -> None:
    generator = np.random.default_rng(5)
    common = np.zeros(10)
    one, other = simulated(generator, scale, common), simulated(generator, 1.0, common)
    assert ratio(one, other).verdict == verdict


def test_the_interval_of_a_median_holds_it() -> None:
    generator = np.random.default_rng(1)
    found = median_interval(simulated(generator, 10.0, np.zeros(10)))
    assert isinstance(found, Interval)
    assert found.low < 10.0 < found.high
    assert found.high - found.low < 1.0


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [(0.975, 3, 3.182446), (0.975, 9, 2.262157), (0.975, 30, 2.042272), (0.95, 5, 2.015048)],
)
def test_student_quantiles_are_those_of_the_tables(
    probability: float, degrees: int, expected: float
) -> None:
    assert student_quantile(probability, degrees) == pytest.approx(expected, abs=2e-6)
