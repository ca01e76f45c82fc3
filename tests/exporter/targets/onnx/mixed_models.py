"""Small models with a mix, and artifacts of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from small_models import small_model, write

from exporter.model.config import Family, SourceModel, Task
from exporter.quantization.mix import Mix, is_table, matrices, possible, smoothing_sites, units
from exporter.targets.base import ArtifactSpec
from exporter.targets.onnx import TARGET

#: Groups of whole blocks, and tables of whole blocks.
WIDE: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 256, "heads": 8}


def wide_model(
    family: Family = "squeezebert", task: Task = "sequence-classification", **changes: Any
) -> SourceModel:
    """2 layers of 128 channels, for which every method is possible."""
    return small_model(family, task, **{**WIDE, **changes})


def mixed_model(
    family: Family = "squeezebert", task: Task = "sequence-classification", first: int = 0
) -> SourceModel:
    """A model whose units have all methods in turn, from the ``first`` on, and smoothed inputs."""
    model = wide_model(family, task)
    methods: dict[str, str] = {}
    tables = iter(TARGET.table_methods[::-1] * 2)
    for index, unit in enumerate(units(model.config, model.task)):
        method = TARGET.methods[(first + index) % len(TARGET.methods)]
        if is_table(unit.name):
            method = next(tables)
            if not possible(model.config, model.task, unit.name, method):
                method = "int8"
        methods |= dict.fromkeys(unit.members, method)
    return replace(model, mix=with_bounds(model, methods))


def with_bounds(model: SourceModel, methods: dict[str, str]) -> Mix:
    """The mix of ``methods``, all its sites smoothed."""
    size = model.config.hidden_size
    sites = smoothing_sites(model.config)
    factors = {site: np.exp2((np.arange(size) + i) % 5 - 2.0) for i, site in enumerate(sites)}
    bounds = {
        name: (-3.0, 4.0) for name in matrices(model.config, model.task) if not is_table(name)
    }
    return Mix(methods, {n: f.astype(np.float32) for n, f in factors.items()}, bounds)


def write_mixed(
    model: SourceModel, folder: Path, precision: str = "mixed", flavour: str = "optimized"
) -> tuple[ArtifactSpec, Path]:
    """``small_models.write``, mixed by default."""
    return write(model, folder, precision, flavour)
