"""Mixes that a search compares, and what is known of each."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from exporter.quantization.mix import METHODS, Mix, is_table, possible, units
from exporter.search.choice import Link, Option, chain
from exporter.search.costs import UnitCost
from exporter.search.examples import Judgement
from exporter.search.preparation import Prepared
from exporter.search.timing import Timing
from exporter.targets.base import Target

#: Bytes that count as none to ``--smallest``: static bounds and names, not weights.
_SAME_SIZE = 256

#: What breaks a tie: a byte for each millisecond where sizes are equal, and the reverse:
#: a microsecond for each kilobyte.
_BYTES_FOR_A_MILLISECOND = 1.0
_MILLISECONDS_FOR_A_BYTE = 1e-9

UnitCosts = Mapping[tuple[str, str], UnitCost]


@dataclass(frozen=True)
class Built:
    """Of an artifact: ``latency`` in milliseconds, ``ratio`` of it to the usual mix's (both timed
    in turn), and bytes of its files."""

    latency: Timing
    ratio: Timing
    bytes: int

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Built":
        """What ``asdict`` gave, as JSON gives it back."""
        return cls(Timing(**found["latency"]), Timing(**found["ratio"]), int(found["bytes"]))


@dataclass(frozen=True)
class Candidate:
    """A mix. What is foreseen is against the usual mix: ``milliseconds`` and ``bytes`` more; the
    ``divergence`` (nats) is the sum of its units'. ``searched`` is the mix's reference on the part
    to choose by, ``confirmed`` its artifact on the part to judge by."""

    name: str
    methods: Mapping[str, str]
    mix: Mix
    milliseconds: float
    bytes: float
    divergence: float
    searched: Judgement | None = None
    confirmed: Judgement | None = None
    built: Built | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the mix's arrays."""
        # asdict would copy all weights that are corrected.
        found = asdict(replace(self, mix=Mix({}))) | {"corrected": sorted(self.mix.corrected)}
        found["smoothing"] = sorted(self.mix.smoothing)
        del found["mix"]
        return found


def candidate(
    name: str, mix: Mix, methods: Mapping[str, str], prepared: Prepared, costs: UnitCosts
) -> Candidate:
    """With the sums of its units."""
    chosen = list(methods.items())
    effects = prepared.sensitivity.effects
    return Candidate(
        name,
        dict(methods),
        mix,
        sum(costs[place].milliseconds for place in chosen),
        sum(costs[place].bytes for place in chosen),
        sum(effects[place].mean_divergence for place in chosen if place[1] != "fp32"),
    )


def links(prepared: Prepared, costs: UnitCosts, *, smallest: bool) -> tuple[Link, ...]:
    """The chain of mixes from fp32 to the cheapest in time, or with ``smallest`` in bytes."""
    effects = prepared.sensitivity.effects
    model = prepared.networks.model
    options = {}
    for unit in units(model.config, model.task):
        found = [("fp32", 0.0)]
        found += [(m, e.mean_divergence) for (u, m), e in effects.items() if u == unit.name]
        options[unit.name] = [
            Option(method, divergence, _price(costs[unit.name, method], smallest))
            for method, divergence in found
            if (unit.name, method) in costs
        ]
    return chain(options)


def uniform_methods(prepared: Prepared, target: Target) -> dict[str, dict[str, str]]:
    """Methods by unit of every mix of one method a layer and one a table, by its name.

    Where a layer cannot be stored in 4 bits the first int8 method stands in, and int8 tables for
    int4 ones. Methods that were not measured (static without texts) are left out.
    """
    model, effects = prepared.networks.model, prepared.sensitivity.effects
    narrow = next(m for m in target.methods if METHODS[m].bits == 8)
    found = {}
    for linear in target.methods:
        for table in target.table_methods:
            methods = {}
            for unit in units(model.config, model.task):
                tables = is_table(unit.members[0])
                method, other = (table, "int8") if tables else (linear, narrow)
                fits = all(possible(model.config, model.task, m, method) for m in unit.members)
                methods[unit.name] = method if fits else other
            measured = (m == "fp32" or (u, m) in effects for u, m in methods.items())
            if (linear == "fp32") == (table == "fp32") and all(measured):
                found[f"{linear}, tables {table}"] = methods
    return found


def foreseen(known: Candidate, smallest: bool) -> float:
    """What it costs as far as the costs of its units tell: bytes, or milliseconds."""
    return known.bytes if smallest else known.milliseconds


def summary(found: Candidate) -> str:
    """Its methods in a line, those of layers first: "18 layers int8_tensor; tables int4"."""
    counts: dict[str, int] = {}
    tables: dict[str, int] = {}
    for name, method in found.mix.methods.items():
        into = tables if is_table(name) else counts
        into[method] = into.get(method, 0) + 1
    layers = ", ".join(f"{n} {m}" for m, n in sorted(counts.items(), key=lambda item: -item[1]))
    rows = (
        ", ".join(tables) if len(tables) == 1 else ", ".join(f"{n} {m}" for m, n in tables.items())
    )
    parts = [f"layers: {layers}", f"tables: {rows}"]
    if found.mix.smoothing:
        parts.append(f"smoothing at {len(found.mix.smoothing)} places")
    if found.mix.corrected:
        parts.append(f"rounding corrected in {len(found.mix.corrected)} layers")
    return "; ".join(parts)


def _price(cost: UnitCost, smallest: bool) -> float:
    if smallest:
        return (
            round(cost.bytes / _SAME_SIZE) * _SAME_SIZE
            + cost.milliseconds * _BYTES_FOR_A_MILLISECOND
        )
    return cost.milliseconds + cost.bytes * _MILLISECONDS_FOR_A_BYTE
