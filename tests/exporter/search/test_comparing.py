"""Which mixes are judged in PyTorch, and which of them go on, with judgements that are made up."""

from dataclasses import dataclass, field

import pytest

from exporter.search.comparing import Comparison
from exporter.search.found import Wish
from tests.exporter.search.made_up import Ticking, judgement, made_up

#: Ten of 1,000 examples may be lost.
WISH = Wish(0.01, smallest=False, seconds=60)
CHAIN = [f"mix {place}" for place in range(12)]


@dataclass
class MadeUpRecords:
    """Judgements by the name of the only layer; ``asked`` are the names in the order of asking."""

    lost: dict
    asked: list = field(default_factory=list)

    def searched(self, mix):
        (name,) = mix.methods
        self.asked.append(name)
        return judgement(self.lost[name], 0, 1000)


def comparison(lost, costs=None, looks=1000):
    """With losses (of 1,000 examples) and costs by name, and time for so many looks at it."""
    records, clock = MadeUpRecords(lost), Ticking(looks)
    known = {name: made_up(name, (costs or {}).get(name, 0.0)) for name in lost}
    return Comparison(None, None, records, known, WISH, clock), records, known, clock


@pytest.mark.parametrize("last", range(len(CHAIN)))
def test_the_cheapest_of_the_chain_that_keeps_the_budget_is_found(last):
    lost = {name: 10 if place <= last else 11 for place, name in enumerate(CHAIN)}
    compared, records, known, clock = comparison(lost)
    assert compared.halve(CHAIN) == last
    assert len(records.asked) <= 5
    assert all(known[name].searched.loss == lost[name] / 1000 for name in records.asked)
    assert not clock.cuts


def test_the_cheapest_is_judged_first_and_alone_where_it_keeps_the_budget():
    compared, records, *_ = comparison(dict.fromkeys(CHAIN, 0))
    assert compared.halve(CHAIN) == len(CHAIN) - 1
    assert records.asked == CHAIN[-1:]


def test_the_best_so_far_counts_when_the_time_is_over():
    lost = {name: 0 if place <= 8 else 20 for place, name in enumerate(CHAIN)}
    compared, records, _, clock = comparison(lost, looks=2)
    assert compared.halve(CHAIN) == 5
    assert records.asked == ["mix 11", "mix 5"]
    assert clock.cuts == ["all mixes were compared, of which a faster one may keep the budget too"]
    compared, records, *_ = comparison(lost, looks=0)
    assert compared.halve(CHAIN) == 0
    assert not records.asked


COSTS = {"usual": 0, "best": -3, "dear": 1, "a": -4, "b": -5, "c": -6}
UNIFORM = ["usual", "dear", "a", "b", "c"]


def test_the_cheapest_uniform_ones_that_keep_the_budget_go_on():
    lost = dict.fromkeys(COSTS, 10)
    compared, records, *_ = comparison(lost, COSTS)
    assert compared.fitting(UNIFORM, "usual", "best") == ["usual", "c", "b"]
    assert records.asked == ["usual", "c", "b"]


def test_uniform_ones_that_are_foreseen_to_be_no_cheaper_are_not_judged():
    compared, records, *_ = comparison(dict.fromkeys(COSTS, 10), COSTS | {"a": -3, "b": -2})
    assert compared.fitting(UNIFORM, "usual", "best") == ["usual", "c"]
    assert records.asked == ["usual", "c"]


def test_uniform_ones_that_break_the_budget_are_refused():
    compared, *_ = comparison(dict.fromkeys(COSTS, 10) | {"c": 11}, COSTS)
    assert compared.fitting(UNIFORM, "usual", "best") == ["usual", "b"]
    compared, *_ = comparison(dict.fromkeys(COSTS, 10) | {"usual": 11}, COSTS)
    assert compared.fitting(UNIFORM, "usual", "best") == ["c", "b"]


def test_the_usual_mix_is_judged_in_any_case():
    compared, records, _, clock = comparison(dict.fromkeys(COSTS, 10), COSTS, looks=0)
    assert compared.fitting(UNIFORM, "usual", "best") == ["usual"]
    assert records.asked == ["usual"]
    assert clock.cuts == ["all mixes that treat every layer alike were compared"]
