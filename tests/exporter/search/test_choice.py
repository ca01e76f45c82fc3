"""The chain of mixes: every one of them is the best for some price of cost."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.search.choice import Option, chain, lower_hull

# Whole numbers: sums are exact, and ties happen.
OPTIONS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda p: Option("", *p)),
    min_size=1,
    max_size=5,
)


def named(lists):
    return {
        f"unit{i}": [Option(f"m{j}", o.divergence, o.cost) for j, o in enumerate(options)]
        for i, options in enumerate(lists)
    }


@given(st.lists(OPTIONS, min_size=1, max_size=4).map(named))
@settings(deadline=None)
def test_the_chain_goes_from_the_safest_to_the_cheapest_mix(options):
    links = chain(options)
    assert links[0].divergence == sum(
        min(o.divergence for o in found) for found in options.values()
    )
    assert links[-1].cost == sum(min(o.cost for o in found) for found in options.values())
    for old, new in itertools.pairwise(links):
        assert new.cost < old.cost
        assert new.divergence > old.divergence
        assert sum(old.methods[name] != new.methods[name] for name in options) == 1


@given(st.lists(OPTIONS, min_size=1, max_size=3).map(named))
@settings(deadline=None, max_examples=50)
def test_no_combination_lies_below_the_chain(options):
    links = chain(options)
    every = [
        (sum(o.divergence for o in chosen), sum(o.cost for o in chosen))
        for chosen in itertools.product(*options.values())
    ]
    for old, new in itertools.pairwise(links):
        price = (new.divergence - old.divergence) / (old.cost - new.cost)
        best = old.divergence + price * old.cost
        assert all(d + price * c >= best - 1e-9 for d, c in every)


@given(st.lists(OPTIONS, min_size=1, max_size=4).map(named))
@settings(deadline=None, max_examples=50)
def test_a_link_says_what_its_methods_sum_to(options):
    for link in chain(options):
        taken = [
            next(o for o in options[name] if o.method == method)
            for name, method in link.methods.items()
        ]
        assert link.divergence == sum(o.divergence for o in taken)
        assert link.cost == sum(o.cost for o in taken)


def test_a_method_that_is_worse_and_dearer_is_never_taken():
    hull = lower_hull([Option("a", 0, 5), Option("b", 1, 6), Option("c", 2, 1), Option("d", 1, 4)])
    assert [option.method for option in hull] == ["a", "c"]


def test_a_unit_without_options_is_refused():
    with pytest.raises(ValueError, match="without options"):
        chain({"unit": []})
