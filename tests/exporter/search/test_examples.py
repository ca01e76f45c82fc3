"""How labelled data is shared out between choosing and judging."""

import math
import re

import numpy as np
import pytest

from exporter.errors import UserError
from exporter.search.examples import MOST_SEARCHED, check_enough, smallest_budget, split


@pytest.mark.parametrize("count", [3, 100, 5999, 9824])
def test_no_example_is_chosen_by_and_judged_by(count: int) -> None:
    searching, confirming = split(count)
    assert not set(searching) & set(confirming)
    assert sorted([*searching, *confirming]) == list(range(count))
    assert len(searching) == min(count // 3, MOST_SEARCHED)
    np.testing.assert_array_equal(searching, split(count)[0])


def test_too_few_examples_say_how_many_are_needed() -> None:
    with pytest.raises(UserError, match="829"):
        check_enough(100, 0.005)
    check_enough(829, 0.005)
    with pytest.raises(UserError):
        check_enough(828, 0.005)


@pytest.mark.parametrize("count", [1, 2, 3, 100, 828, 4500, 9824, 300_000])
def test_the_budget_that_the_examples_can_judge_is_said(count: int) -> None:
    with pytest.raises(UserError) as raised:
        check_enough(count, 1e-6)
    said = re.search(
        rf"These {count:,} examples can judge budgets from (\S+) points on", raised.value.next_step
    )
    points = said[1]
    check_enough(count, float(points) / 100)
    assert len(points.replace(".", "").strip("0")) <= 2
    # One unit of the second digit less is too little.
    less = float(points) - 10 ** (math.floor(math.log10(float(points))) - 1)
    with pytest.raises(UserError):
        check_enough(count, less / 100)


def test_examples_judge_budgets_from_two_digits_on() -> None:
    assert smallest_budget(3000) == 0.093
