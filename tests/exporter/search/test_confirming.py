"""What counts as the cheapest of several artifacts, and when a measured loss is in doubt."""

import pytest

from exporter.search.candidates import Built
from exporter.search.confirming import AS_FAST, cheapest, safer
from exporter.search.examples import Judgement, examples_in_all, split
from exporter.search.found import doubtful
from exporter.search.timing import Timing
from exporter.verification.paired_statistics import examples_needed, paired_difference_interval


def built(ratio, size, half=0.01):
    times = Timing(ratio, ratio - half, ratio + half, 40)
    return Built(times, times, size)


def test_the_fastest_is_taken_where_times_can_be_told_apart():
    assert cheapest({"slow": built(1.0, 10), "fast": built(0.8, 30)}, smallest=False) == "fast"


def test_of_equally_fast_ones_the_smallest_is_taken():
    near = {"large": built(0.80, 30), "small": built(0.81, 10), "slow": built(1.0, 5)}
    assert cheapest(near, smallest=False) == "small"


def test_what_an_interval_tells_apart_is_not_equal():
    clear = {"large": built(0.800, 30, half=0.001), "small": built(0.810, 10, half=0.001)}
    assert cheapest(clear, smallest=False) == "large"


def test_a_wide_interval_makes_no_slower_one_equal():
    wide = {"large": built(0.8, 30, half=0.5), "small": built(0.8 * AS_FAST * 1.01, 10, half=0.5)}
    assert cheapest(wide, smallest=False) == "large"


def test_the_smallest_is_taken_and_of_equals_the_fastest():
    found = {"fast": built(0.5, 30), "slow": built(1.0, 10), "better": built(0.9, 10)}
    assert cheapest(found, smallest=True) == "better"


def test_a_refused_mix_is_followed_by_one_of_clearly_less_divergence():
    chain = {"mix 0": 0.0, "mix 1": 0.1, "mix 2": 0.69, "mix 3": 0.9, "mix 4": 1.0}
    assert safer(chain, "mix 4") == "mix 2"
    assert safer(chain, "mix 3") == "mix 1"
    assert safer(chain, "mix 1") is None
    assert safer(chain, "int8_tensor, tables int8") is None


def judgement(only_before, only_after, examples):
    interval = paired_difference_interval(only_before, only_after, examples)
    loss, discordant = only_before - only_after, only_before + only_after
    return Judgement(examples, loss / examples, interval, discordant / examples, 0.9, 0.01)


def test_a_loss_that_is_known_badly_says_how_many_examples_would_tell():
    judged = judgement(10, 10, 1000)
    needed = examples_needed(0.005, 0.02)
    assert f"About {needed} examples to judge by" in doubtful(judged, 0.005)
    assert f"({examples_in_all(needed)} labelled ones in all)" in doubtful(judged, 0.005)
    discordant = round(needed * 0.02 / 2)
    assert not doubtful(judgement(discordant, discordant, needed + 50), 0.005)
    assert not doubtful(judged, 0.02)


@pytest.mark.parametrize("judging", [1, 2, 3, 92, 553, 4000, 4001, 9000])
def test_the_least_number_in_all_leaves_enough_to_judge_by(judging):
    total = examples_in_all(judging)
    assert len(split(total)[1]) >= judging
    assert len(split(total - 1)[1]) < judging
