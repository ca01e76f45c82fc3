"""What each method of each kind of unit costs on a target: milliseconds and bytes.

Measured on artifacts of a small stand-in of the model (``stand_ins``), timed in turn with the one
of the target's usual methods.
"""

import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exporter.model.config import EncoderConfig, Task
from exporter.model.weights import weight_shapes
from exporter.quantization.mix import Kind, Unit, is_table, smoothing_sites, units
from exporter.search.journal import Journal
from exporter.search.machine import machine_hash
from exporter.search.stand_ins import (
    LAYERS,
    SMOOTHING,
    TIMED_KINDS,
    Bench,
    stand_in,
    usual_methods,
    usual_mix,
    variants,
    weights_of,
)
from exporter.search.timing import Timing, difference, timing
from exporter.targets.base import ArtifactSpec, Target, code_hash

#: Half widths of a 95 % interval beyond which a difference counts: three standard errors, as there
#: are some thirty differences, of which one or two lie beyond 95 % by chance.
_CERTAIN = 1.5

#: Share of the stand-in's time by which two methods of all its layers may differ unseen before the
#: machine is called busy. A choice, no measurement: what the search cannot see it takes for equally
#: fast, and may so pass over an artifact that is a tenth faster. A smaller share would warn of
#: what hardly changes a choice, a larger one would keep silent about what does.
_BUSY = 0.1

_BYTES_OF_HEAD: Kind = "post_attention"


@dataclass(frozen=True)
class Cost:
    """Against the usual method: ``milliseconds`` a layer (or table), the half width of their 95 %
    interval, and bytes a weight."""

    milliseconds: float
    spread: float
    bytes_each: float

    @property
    def certain(self) -> float:
        """The milliseconds where they are more than chance, else none."""
        return self.milliseconds if abs(self.milliseconds) > _CERTAIN * self.spread else 0.0


@dataclass(frozen=True)
class Costs:
    """By kind of unit (and "smoothing") and by method, on a machine; see ``measure_costs``.

    ``usual`` are the methods of layers and tables that cost nothing by definition; ``base`` is the
    time of the stand-in by them alone.
    """

    kinds: Mapping[str, Mapping[str, Cost]]
    usual: tuple[str, str]
    tokens: int
    base: Timing

    @property
    def remark(self) -> str:
        """ "", or that the machine was too busy to tell the methods' times from each other."""
        spreads = [c.spread for k in TIMED_KINDS for c in self.kinds[k].values() if c.spread]
        unseen = statistics.median(spreads) * LAYERS / self.base.median if spreads else 0.0
        if unseen < _BUSY:
            return ""
        return (
            f"Other work disturbed the timing: methods of a kind of layer that differ by less than "
            f"{unseen:.0%} of the model's time count as equally fast. On a quiet machine, with the "
            "folder of the report removed, the search can tell more."
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Costs":
        """What ``as_dict`` gave."""
        kinds = {k: {m: Cost(**c) for m, c in v.items()} for k, v in found["kinds"].items()}
        usual: tuple[str, str] = tuple(found["usual"])
        return cls(kinds, usual, int(found["tokens"]), Timing(**found["base"]))


@dataclass(frozen=True)
class UnitCost:
    """Of a unit by a method, against the usual one: milliseconds, their spread, and bytes."""

    milliseconds: float
    spread: float
    bytes: float


def unit_costs(
    costs: Costs, config: EncoderConfig, task: Task, smoothed: frozenset[str] = frozenset()
) -> dict[tuple[str, str], UnitCost]:
    """By unit and method. ``smoothed`` are the units whose inputs are, unless they are fp32.

    A classifier's last layer computes all but the keys and values of one token alone: all that
    follows attention costs as good as no time there. The head is one row too.
    """
    shapes = weight_shapes(config, task, labels=2)
    found = {}
    for unit in units(config, task):
        table = is_table(unit.members[0])
        weights = sum(int(np.prod(shapes[f"{member}.weight"])) for member in unit.members)
        rows = 0 if _one_row(unit, config, task) else 1
        measured = costs.kinds[unit.members[0] if table else _timed_as(unit)]
        for method, cost in measured.items():
            extra = 0.0
            if unit.name in smoothed and method != "fp32":
                extra = costs.kinds[SMOOTHING][SMOOTHING].certain
            found[unit.name, method] = UnitCost(
                (cost.certain + max(extra, 0.0)) * rows,
                cost.spread * rows,
                cost.bytes_each * weights,
            )
    return found


def measure_costs(
    config: EncoderConfig,
    target: Target,
    spec: ArtifactSpec,
    journal: Journal,
    *,
    seconds: float,
    progress: Callable[[str], None] = lambda _: None,
) -> Costs:
    """Of every method that ``target`` has, one thread, ``TOKENS`` tokens.

    All methods of a kind run in turn with the usual one; the time is that of the median round's
    difference. The result is kept in ``journal`` for this machine, code and these widths. Raises
    UserError where the stand-in cannot be built.
    """
    model = stand_in(config)
    own = [Path(__file__).with_name(f"{name}.py") for name in ("costs", "stand_ins", "timing")]
    facts = (machine_hash(), target.fingerprint(), code_hash("", *own), spec.flavour, spec.backend)
    key = "/".join(("costs", *facts, str(model.config)))
    known = journal.get(key)
    if known is not None:
        return Costs.from_dict(known)
    usual, asked = usual_methods(target), variants(model, target)
    kinds: dict[str, Mapping[str, Cost]] = {}
    base: Timing | None = None
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(target, spec, model, Path(folder), seconds / len(asked))
        for number, (kind, mixes) in enumerate(asked.items()):
            progress(f"{kind}, {number + 1} of {len(asked)} kinds")
            samples, sizes = bench.compare({"": usual_mix(model, target), **mixes})
            table = kind.startswith("embeddings.")
            divisor = 1 if table else LAYERS
            if kind == SMOOTHING:
                divisor = len(smoothing_sites(model.config))
            weights = weights_of(model, kind)
            found = {}
            for method in mixes:
                change = difference(samples[method], samples[""])
                found[method] = Cost(
                    change.median / divisor,
                    change.spread / divisor,
                    (sizes[method] - sizes[""]) / weights if weights else 0.0,
                )
            if kind != SMOOTHING:
                found[usual[1 if table else 0]] = Cost(0.0, 0.0, 0.0)
            kinds[kind] = found
            base = base or timing(samples[""])
    if base is None:
        raise ValueError("a target without methods has no costs")
    costs = Costs(kinds, usual, bench.tokens, base)
    journal.put(key, costs.as_dict())
    return costs


def _timed_as(unit: Unit) -> Kind:
    return _BYTES_OF_HEAD if unit.kind == "head" else unit.kind


def _one_row(unit: Unit, config: EncoderConfig, task: Task) -> bool:
    """Whether the unit computes a single row of a text."""
    if task != "sequence-classification":
        return False
    last = unit.layer == config.layers - 1 and unit.kind != "attention"
    return unit.kind == "head" or last
