"""What each method of each kind of unit costs on a target: milliseconds and bytes.

Measured on a small stand-in of the model: two layers of its own widths with seeded weights, written
by the target itself, a kind of unit by another method and all else by the target's usual one. Times
do not depend on the values of weights; the sizes of files do not either.
"""

import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from exporter.model.config import EncoderConfig, SourceModel, Task
from exporter.model.random import seeded_weights
from exporter.model.weights import weight_shapes
from exporter.quantization.mix import (
    METHODS,
    TABLE_METHODS,
    Kind,
    Mix,
    Unit,
    is_table,
    matrices,
    possible,
    smoothing_sites,
    uniform_mix,
    units,
)
from exporter.search.journal import Journal
from exporter.search.machine import machine_hash
from exporter.search.timing import Timing, difference, interleaved, timing
from exporter.targets.base import INPUTS, ArtifactSpec, Target

#: Tokens of the input that is timed, where the model takes so many.
TOKENS = 128

#: Layers of the stand-in: differences are divided by it.
_LAYERS = 2

#: Rows of its word table: of a lookup's time only those that are read matter.
_VOCABULARY = 1024

#: Static ranges cost the same whatever they are.
_BOUNDS = (-8.0, 8.0)

#: Half widths of a 95 % interval beyond which a difference counts: three standard errors, as there
#: are some thirty differences, of which one or two lie beyond 95 % by chance.
_CERTAIN = 1.5

#: Share of the stand-in's time by which two methods of all its layers may differ unseen before the
#: machine is called busy.
_BUSY = 0.1

_TIMED_KINDS: tuple[Kind, ...] = ("attention", "post_attention", "intermediate", "output")
_BYTES_OF_HEAD: Kind = "post_attention"
_SMOOTHING = "smoothing"


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
        spreads = [c.spread for k in _TIMED_KINDS for c in self.kinds[k].values() if c.spread]
        unseen = statistics.median(spreads) * _LAYERS / self.base.median if spreads else 0.0
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
                extra = costs.kinds[_SMOOTHING][_SMOOTHING].certain
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
    stand_in = _stand_in(config)
    key = "/".join(
        (
            "costs",
            machine_hash(),
            target.fingerprint(),
            spec.flavour,
            spec.backend,
            str(stand_in.config),
        )
    )
    known = journal.get(key)
    if known is not None:
        return Costs.from_dict(known)
    usual = usual_methods(target)
    variants = _variants(stand_in, target, usual)
    kinds: dict[str, Mapping[str, Cost]] = {}
    base: Timing | None = None
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(target, spec, stand_in, Path(folder), seconds / len(variants))
        usual_mix = uniform_mix(stand_in.config, stand_in.task, *usual, _narrow(target))
        for number, (kind, mixes) in enumerate(variants.items()):
            progress(f"{kind}, {number + 1} of {len(variants)} kinds")
            samples, sizes = bench.compare({"": _bounded(usual_mix), **mixes})
            divisor = 1 if kind.startswith("embeddings.") else _LAYERS
            if kind == _SMOOTHING:
                divisor = len(smoothing_sites(stand_in.config))
            weights = _weights_of(stand_in, kind)
            kinds[kind] = {}
            found = {}
            for method in mixes:
                change = difference(samples[method], samples[""])
                found[method] = Cost(
                    change.median / divisor,
                    change.spread / divisor,
                    (sizes[method] - sizes[""]) / weights if weights else 0.0,
                )
            if kind != _SMOOTHING:
                found[usual[1 if kind.startswith("embeddings.") else 0]] = Cost(0.0, 0.0, 0.0)
            kinds[kind] = found
            base = base or timing(samples[""])
    if base is None:
        raise ValueError("a target without methods has no costs")
    costs = Costs(kinds, usual, bench.tokens, base)
    journal.put(key, costs.as_dict())
    return costs


def usual_methods(target: Target) -> tuple[str, str]:
    """The target's first quantized method of layers, and of tables."""
    return (
        next(method for method in target.methods if method != "fp32"),
        next(method for method in target.table_methods if method != "fp32"),
    )


class _Bench:
    """Writes, opens, runs and weighs artifacts of a stand-in."""

    def __init__(
        self, target: Target, spec: ArtifactSpec, model: SourceModel, folder: Path, seconds: float
    ) -> None:
        self._target, self._spec, self._model = target, spec, model
        self._folder, self._seconds, self._written = folder, seconds, 0
        self.tokens = min(TOKENS, model.config.max_positions)

    def compare(self, mixes: Mapping[str, Mix]) -> tuple[dict[str, list[float]], dict[str, int]]:
        """Milliseconds of every round, and bytes, of an artifact of each mix."""
        ids = np.arange(self.tokens)[None] % _VOCABULARY
        inputs = dict(zip(INPUTS, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))
        runs: dict[str, Callable[[], object]] = {}
        sizes = {}
        for name, mix in mixes.items():
            path = self._write(mix)
            session = self._target.open(path, threads=1)
            runs[name] = lambda session=session: session.run(inputs)  # type: ignore[misc]
            sizes[name] = sum(file.stat().st_size for file in self._target.files(path))
        return interleaved(runs, seconds=self._seconds), sizes

    def _write(self, mix: Mix) -> Path:
        self._written += 1
        place = self._folder / str(self._written)
        place.mkdir()
        path = place / Path(self._spec.path).name
        model = replace(self._model, mix=mix)
        metadata = {
            "task": model.task,
            "labels": "null",
            "precision": self._spec.precision,
            "flavour": self._spec.flavour,
            "mix": mix.text(),
        }
        self._target.write(model, self._spec, path, metadata)
        return path


def _stand_in(config: EncoderConfig) -> SourceModel:
    small = replace(config, layers=_LAYERS, vocab_size=_VOCABULARY, pad_token_id=0)
    task: Task = "feature-extraction"  # every layer computes every token
    return SourceModel(small, task, None, seeded_weights(small, task, 0, seed=0))


def _variants(
    model: SourceModel, target: Target, usual: tuple[str, str]
) -> dict[str, dict[str, Mix]]:
    """Mixes that differ from the usual one in one kind (or table), by that and by method."""
    config, task = model.config, model.task
    base = _bounded(uniform_mix(config, task, *usual, _narrow(target)))
    found: dict[str, dict[str, Mix]] = {}
    for kind in _TIMED_KINDS:
        members = [m for u in units(config, task) if u.kind == kind for m in u.members]
        found[kind] = {
            method: replace(base, methods={**base.methods, **dict.fromkeys(members, method)})
            for method in target.methods
            if method != usual[0] and all(possible(config, task, m, method) for m in members)
        }
    for name in (m for m in matrices(config, task) if is_table(m)):
        found[name] = {
            method: replace(base, methods={**base.methods, name: method})
            for method in target.table_methods
            if method != usual[1] and possible(config, task, name, method)
        }
    factors = np.full(config.hidden_size, 2, np.float32)
    smoothing = dict.fromkeys(smoothing_sites(config), factors)
    found[_SMOOTHING] = {_SMOOTHING: replace(base, smoothing=smoothing)}
    return found


def _bounded(mix: Mix) -> Mix:
    """With static bounds for whoever takes them."""
    return replace(mix, bounds={n: _BOUNDS for n in mix.methods if not is_table(n)})


def _narrow(target: Target) -> str:
    return next(m for m in target.methods if METHODS[m].bits == 8)


def _weights_of(model: SourceModel, kind: str) -> int:
    shapes = weight_shapes(model.config, model.task, labels=2)
    if kind in TABLE_METHODS or kind.startswith("embeddings."):
        return int(np.prod(shapes[f"{kind}.weight"]))
    members = [m for u in units(model.config, model.task) if u.kind == kind for m in u.members]
    return sum(int(np.prod(shapes[f"{member}.weight"])) for member in members)


def _timed_as(unit: Unit) -> Kind:
    return _BYTES_OF_HEAD if unit.kind == "head" else unit.kind


def _one_row(unit: Unit, config: EncoderConfig, task: Task) -> bool:
    """Whether the unit computes a single row of a text."""
    if task != "sequence-classification":
        return False
    last = unit.layer == config.layers - 1 and unit.kind != "attention"
    return unit.kind == "head" or last
