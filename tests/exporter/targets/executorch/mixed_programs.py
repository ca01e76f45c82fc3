"""Small artifacts of the precision mixed, with every method that the CPU has."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from small_models import small_model
from small_programs import BLOCKS, SmallProgram

from exporter.model.config import SourceModel
from exporter.quantization.mix import Mix, possible, smoothing_sites, units
from exporter.quantization.rounding import Rounded
from exporter.quantization.schemes.mixed import rounded_weights
from exporter.targets.executorch import TARGET

OUTPUT = "layers.0.feed_forward.output"


def factors(model: SourceModel) -> dict[str, npt.NDArray[np.float32]]:
    """Powers of two from an eighth to eight, by site."""
    generator = np.random.default_rng(0)
    size = model.config.hidden_size
    return {
        site: np.exp2(generator.integers(-3, 4, size)).astype(np.float32)
        for site in smoothing_sites(model.config)
    }


def methods(model: SourceModel, first: int = 0) -> dict[str, str]:
    """The target's methods in turn, starting with one of them, as far as a unit can have them."""
    chosen: dict[str, str] = {}
    for index, unit in enumerate(units(model.config, model.task), first):
        offered = TARGET.table_methods if unit.kind == "embeddings" else TARGET.methods
        # A tied decoder, whose table is int8, quantizes its input as the layer before it does.
        offered = [m for m in offered if m != "fp32" or unit.name != "head.transform"]
        able = [
            method
            for method in offered
            if all(possible(model.config, model.task, name, method) for name in unit.members)
        ]
        chosen |= dict.fromkeys(unit.members, able[index % len(able)])
    return chosen


def mixed_model(
    family: Any = "squeezebert",
    task: Any = "sequence-classification",
    first: int = 0,
    **changes: Any,
) -> SourceModel:
    """A small model with such a mix, every input smoothed, and corrected levels in one layer."""
    model = small_model(family, task, **{"layers": 1, **BLOCKS, **changes})
    mix = Mix(methods(model, first), factors(model))
    plain = rounded_weights(replace(model, mix=mix)).get(f"{OUTPUT}.weight")
    return replace(model, mix=mix if plain is None else replace(mix, corrected=corrected(plain)))


def corrected(plain: Rounded) -> dict[str, Rounded]:
    """Every third level of the layer ``OUTPUT`` is one nearer to zero than plain rounding's."""
    levels = plain.levels.copy()
    levels.flat[::3] -= np.sign(levels.flat[::3])
    return {f"{OUTPUT}.weight": replace(plain, levels=levels)}


def write_mixed(model: SourceModel, folder: Path, flavour: str = "optimized") -> SmallProgram:
    """Lower ``model``, with the metadata that the gate asks for."""
    assert model.mix is not None
    (spec,) = TARGET.artifacts(("mixed",), (flavour,), ("xnnpack",))
    path = folder / Path(spec.path).name
    metadata = {
        "labels": json.dumps(model.labels),
        "task": model.task,
        "precision": "mixed",
        "flavour": flavour,
        "mix": model.mix.text(),
    }
    TARGET.write(model, spec, path, metadata)
    return SmallProgram(model, spec, path)
