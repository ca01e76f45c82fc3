"""Stand-ins of a model, on which the cost of a method is measured.

A stand-in has two layers of the model's own widths with seeded weights, and is written by the
target itself, a kind of unit by another method and all else by the target's usual one. Times do not
depend on the values of weights; the sizes of files do not either.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from exporter.model.config import EncoderConfig, SourceModel, Task
from exporter.model.random import seeded_weights
from exporter.model.weights import weight_shapes
from exporter.quantization.mix import (
    METHODS,
    Kind,
    Mix,
    is_table,
    matrices,
    possible,
    smoothing_sites,
    uniform_mix,
    units,
)
from exporter.search.timing import interleaved
from exporter.targets.base import INPUTS, ArtifactSpec, Target

#: Tokens of the input that is timed, where the model takes so many.
TOKENS = 128

#: Layers of a stand-in: differences are divided by it.
LAYERS = 2

#: What is timed: kinds of units, tables by their names, and this.
TIMED_KINDS: tuple[Kind, ...] = ("attention", "post_attention", "intermediate", "output")
SMOOTHING = "smoothing"

#: Rows of its word table: of a lookup's time only those that are read matter.
_VOCABULARY = 1024

#: Static ranges cost the same whatever they are.
_BOUNDS = (-8.0, 8.0)


def usual_methods(target: Target) -> tuple[str, str]:
    """The target's first quantized method of layers, and of tables."""
    return (
        next(method for method in target.methods if method != "fp32"),
        next(method for method in target.table_methods if method != "fp32"),
    )


class Bench:
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


def stand_in(config: EncoderConfig) -> SourceModel:
    """Of a model of these widths. Every layer computes every token."""
    small = replace(config, layers=LAYERS, vocab_size=_VOCABULARY, pad_token_id=0)
    task: Task = "feature-extraction"
    return SourceModel(small, task, None, seeded_weights(small, task, 0, seed=0))


def usual_mix(model: SourceModel, target: Target) -> Mix:
    """Every layer and table by the target's usual method, with static bounds for whoever takes
    them."""
    narrow = next(m for m in target.methods if METHODS[m].bits == 8)
    mix = uniform_mix(model.config, model.task, *usual_methods(target), narrow)
    return replace(mix, bounds={n: _BOUNDS for n in mix.methods if not is_table(n)})


def variants(model: SourceModel, target: Target) -> dict[str, dict[str, Mix]]:
    """Mixes that differ from the usual one in one kind (or table), by that and by method."""
    config, task, usual = model.config, model.task, usual_methods(target)
    base = usual_mix(model, target)
    found: dict[str, dict[str, Mix]] = {}
    for kind in TIMED_KINDS:
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
    found[SMOOTHING] = {SMOOTHING: replace(base, smoothing=smoothing)}
    return found


def weights_of(model: SourceModel, kind: str) -> int:
    """How many weights of the stand-in the kind (or table) has; 0 for smoothing."""
    shapes = weight_shapes(model.config, model.task, labels=2)
    if kind.startswith("embeddings."):
        return int(np.prod(shapes[f"{kind}.weight"]))
    members = [m for u in units(model.config, model.task) if u.kind == kind for m in u.members]
    return sum(int(np.prod(shapes[f"{member}.weight"])) for member in members)
