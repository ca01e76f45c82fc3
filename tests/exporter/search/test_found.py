"""What is said of a choice: when its loss is in doubt, and what was found where nothing will do."""

import pytest

from exporter.errors import OutOfTime
from exporter.search.examples import examples_in_all, split
from exporter.search.found import Wish, doubtful, nothing_found, provisional
from exporter.verification.paired_statistics import examples_needed, paired_difference_interval
from tests.exporter.search.made_up import judgement, made_up

BUDGET = 0.005


@pytest.mark.parametrize(("lost", "won", "reaches"), [(40, 24, "0.80"), (35, 16, "0.83")])
def test_a_loss_whose_interval_reaches_further_than_the_budget_is_doubted(lost, won, reaches):
    judged = judgement(lost, won, 4000)
    low, high = judged.loss_interval
    assert (high - low) / 2 <= BUDGET
    said = f"reaches to {reaches} points, further than the budget"
    assert said in doubtful(judged, BUDGET)


def test_a_loss_whose_interval_ends_within_the_budget_is_not_doubted():
    assert not doubtful(judgement(10, 10, 4000), BUDGET)
    assert not doubtful(judgement(2, 20, 1000), BUDGET)


@pytest.mark.parametrize(("lost", "won"), [(40, 24), (35, 16), (10, 10), (0, 3)])
def test_so_many_examples_would_tell(lost, won):
    judged = judgement(lost, won, 1000)
    budget = judged.loss + 0.002
    needed = examples_needed(0.002, judged.discordant)
    said = f"About {needed} examples to judge by ({examples_in_all(needed)} labelled ones in all)"
    assert said in doubtful(judged, budget)
    for times, tells in ((1.1, True), (0.9, False)):
        total = round(needed * times)
        shares = [round(share * total / 1000) for share in (lost, won)]
        assert (paired_difference_interval(*shares, total)[1] <= budget) == tells


def test_where_the_loss_is_the_budget_more_examples_may_not_tell():
    doubt = doubtful(judgement(36, 16, 4000), BUDGET)
    assert "more examples may not tell" in doubt
    assert "About" not in doubt
    assert "About" in doubtful(judgement(35, 16, 4000), BUDGET)


@pytest.mark.parametrize("judging", [1, 2, 3, 92, 553, 4000, 4001, 9000])
def test_the_least_number_in_all_leaves_enough_to_judge_by(judging):
    total = examples_in_all(judging)
    assert len(split(total)[1]) >= judging
    assert len(split(total - 1)[1]) < judging


def test_what_is_provisional_says_why_and_how_to_go_on():
    assert provisional(["all were built", "all were judged"]) == (
        "Provisional: the time was over before all were built, and before all were judged. The "
        "same command goes on from here; --search-minutes gives it more time."
    )


WISH = Wish(BUDGET, smallest=False, seconds=60)


def test_where_nothing_keeps_the_budget_the_best_and_its_loss_are_named():
    known = [
        made_up("bad", searched=judgement(10, 0, 500), confirmed=judgement(90, 0, 1000)),
        made_up("good", searched=judgement(20, 0, 500), confirmed=judgement(31, 0, 1000)),
        made_up("seen", searched=judgement(3, 0, 500)),
        made_up("nothing", method="fp32", confirmed=judgement(0, 0, 1000)),
    ]
    error = nothing_found(known, WISH, over=False)
    assert not isinstance(error, OutOfTime)
    assert "The best, good (" in str(error)
    assert "loses 3.10 points" in str(error)
    assert "measured on 1000 examples" in str(error)
    assert "--budget 3.2," in error.next_step


def test_where_nothing_was_built_the_best_in_pytorch_is_named():
    known = [
        made_up("bad", searched=judgement(60, 0, 500)),
        made_up("good", searched=judgement(20, 0, 500)),
    ]
    error = nothing_found(known, WISH, over=True)
    assert isinstance(error, OutOfTime)
    assert "in the time given" in str(error)
    assert "The best, good (" in str(error)
    assert "measured on 500 examples" in str(error)
