"""Mixes from the safest to the cheapest, out of what each unit's methods do and cost.

The divergences of units are added, as if each did its harm by itself: only the order of mixes
rests on that, what a mix does is measured. For every price ``p`` of a unit of cost the mix with
the least ``divergence + p * cost`` takes, of each unit by itself, the method that has the least.
With a rising price each unit walks along the lower hull of its methods, and the mix changes one
unit at a time (Everett 1963, generalized Lagrange multipliers; Shoham and Gersho 1988 for bits).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Option:
    """A method of a unit: the divergence (nats) that it brings, and its cost, in any unit."""

    method: str
    divergence: float
    cost: float


@dataclass(frozen=True)
class Link:
    """A mix of the chain: methods by unit, and the sums of what they bring and cost."""

    methods: Mapping[str, str]
    divergence: float
    cost: float


def chain(options: Mapping[str, Sequence[Option]]) -> tuple[Link, ...]:
    """From the least divergence to the least cost; of each two neighbours one unit differs.

    ``options`` are those of every unit. Along the chain divergence rises, cost falls, and each
    further saving is dearer than the one before. ValueError for a unit without options.
    """
    hulls = {name: lower_hull(found) for name, found in options.items()}
    steps = sorted(
        (
            (new.divergence - old.divergence) / (old.cost - new.cost),
            name,
            place,
        )
        for name, hull in hulls.items()
        for place, (old, new) in enumerate(pairwise(hull), start=1)
    )
    taken = {name: hull[0] for name, hull in hulls.items()}
    links = [_link(taken)]
    # A hull's slopes rise, so that its steps come in order; equal ones are sorted by their place.
    for _, name, place in steps:
        taken[name] = hulls[name][place]
        links.append(_link(taken))
    return tuple(links)


def lower_hull(options: Sequence[Option]) -> tuple[Option, ...]:
    """Of one unit: the options that are best for some price, from least divergence to least cost.

    Between two of the same divergence and cost the first is taken. ValueError without any.
    """
    if not options:
        raise ValueError("a unit without options")
    hull: list[Option] = []
    for option in sorted(options, key=lambda o: (o.divergence, o.cost)):
        if hull and option.cost >= hull[-1].cost:
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-1], option):
            hull.pop()
        hull.append(option)
    return tuple(hull)


def _slope(old: Option, new: Option) -> float:
    return (new.divergence - old.divergence) / (old.cost - new.cost)


def _link(taken: Mapping[str, Option]) -> Link:
    return Link(
        {name: option.method for name, option in taken.items()},
        sum(option.divergence for option in taken.values()),
        sum(option.cost for option in taken.values()),
    )
