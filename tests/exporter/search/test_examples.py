"""How labelled data is shared out between choosing and judging."""

import numpy as np
import pytest

from exporter.errors import UserError
from exporter.search.examples import MOST_SEARCHED, check_enough, split


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
