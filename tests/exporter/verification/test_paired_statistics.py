"""Intervals and tests against published values and against simulation."""

import math

import numpy as np
import pytest

from exporter.verification.paired_statistics import (
    examples_needed,
    mcnemar_exact,
    paired_difference_interval,
    wilson_interval,
)


def test_wilson_gives_the_published_intervals():
    # Newcombe (1998), Statistics in Medicine 17:857, table I, method 3.
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for counts, interval in published.items():
        assert wilson_interval(*counts) == pytest.approx(interval, abs=5e-5)


def test_wilson_stays_inside_and_has_a_width_at_the_ends():
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


@pytest.mark.parametrize("counts", [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(counts):
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(*counts)


def test_paired_interval_follows_its_formula():
    # By hand: p = 13/102, q = 5/102, d = 8/102, half = 1.96 sqrt((p + q - d^2) / 102).
    half = 1.959964 * math.sqrt((18 / 102 - (8 / 102) ** 2) / 102)
    expected = (8 / 102 - half, 8 / 102 + half)
    assert paired_difference_interval(12, 4, 100) == pytest.approx(expected, abs=1e-6)


def test_paired_interval_is_antisymmetric_and_never_empty():
    low, high = paired_difference_interval(30, 5, 500)
    assert paired_difference_interval(5, 30, 500) == pytest.approx((-high, -low))
    low, high = paired_difference_interval(0, 0, 100)
    assert low < 0 < high


def test_paired_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    for only_first, only_second, trials in [(0.01, 0.006, 2000), (0.03, 0.01, 500)]:
        rest = 1 - only_first - only_second
        samples = generator.multinomial(trials, [only_first, only_second, rest], size=2000)
        truth = only_first - only_second
        intervals = [paired_difference_interval(int(b), int(c), trials) for b, c, _ in samples]
        covered = np.mean([low <= truth <= high for low, high in intervals])
        assert 0.93 <= covered <= 0.98


@pytest.mark.parametrize("counts", [(1, 1, 1), (-1, 0, 5), (0, 0, 0)])
def test_paired_interval_refuses_impossible_counts(counts):
    with pytest.raises(ValueError, match="discordant"):
        paired_difference_interval(*counts)


def test_mcnemar_is_the_binomial_test():
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(5, 5) == 1.0
    assert mcnemar_exact(6, 0) == pytest.approx(2 / 64)
    assert mcnemar_exact(1, 7) == mcnemar_exact(7, 1) == pytest.approx(2 * 9 / 256)
    assert 0 < mcnemar_exact(1200, 1000) < 1e-4  # beyond the range of 2.0**n


@pytest.mark.parametrize("points", [0.001, 0.0025, 0.005, 0.01, 0.3, 1.0])
def test_examples_needed_are_the_fewest_whose_interval_is_narrow_enough(points):
    found = examples_needed(points)
    assert paired_difference_interval(0, 0, found)[1] <= points
    assert found == 1 or paired_difference_interval(0, 0, found - 1)[1] > points


def test_half_a_point_needs_553_examples():
    assert examples_needed(0.005) == 553


def test_models_that_differ_more_need_more_examples():
    found = examples_needed(0.005, discordant=0.03)
    each = round(0.015 * found)
    low, high = paired_difference_interval(each, each, found)
    assert (high - low) / 2 == pytest.approx(0.005, rel=1e-3)
    assert found > 4000


@pytest.mark.parametrize("shares", [(0.0, 0.0), (-0.1, 0.0), (1.5, 0.0), (0.01, 1.1), (0.01, -1)])
def test_shares_that_cannot_be_are_refused(shares):
    with pytest.raises(ValueError, match="discordant share"):
        examples_needed(*shares)
