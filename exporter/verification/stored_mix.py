"""The mix of an artifact on disk: what it says of itself, and the corrected levels that it holds.

A corrected weight's scales are those of plain rounding, which follow from the source; its levels
follow from calibration texts as well, and are therefore read back. The audit then finds them on
that grid, near the source.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from exporter.errors import REBUILD, UserError
from exporter.model.config import SourceModel
from exporter.quantization.mix import Mix, check_mix, is_table, read_mix
from exporter.quantization.rounding import Rounded
from exporter.quantization.schemes.mixed import rounded_weights
from exporter.targets.base import Array, Target

#: Where artifacts say their mix.
MIX_KEY = "mix"

#: Correction is for weights of so many bits, of linear layers.
CORRECTED_BITS = 4


def stored_mix(target: Target, path: Path, precision: str, model: SourceModel) -> Mix:
    """The mix of the artifact at ``path``, which was made from ``model``.

    UserError for an artifact that has no mix of this model and target.
    """
    try:
        mix, corrected = read_mix(target.metadata(path).get(MIX_KEY, ""))
    except ValueError as error:
        raise UserError(f"{path} does not say how its layers are computed.", REBUILD) from error
    check_mix(mix, model.config, model.task, target.methods)
    if not corrected:
        return mix
    for name in corrected:
        layer = name.removesuffix(".weight")
        if is_table(layer) or layer not in mix.methods or mix.method(layer).bits != CORRECTED_BITS:
            raise UserError(f"{path} says that {name} is corrected, which cannot be.", REBUILD)
    stored = target.stored_model(replace(model, mix=mix), precision)
    plain = rounded_weights(stored)
    levels: dict[str, Rounded] = {}
    for tensor in target.stored_weights(path, model.config, model.task):
        if tensor.name in corrected and tensor.name in plain:
            levels[tensor.name] = _on_grid(tensor.values, plain[tensor.name])
    missing = sorted(set(corrected) - set(levels))
    if missing:
        raise UserError(f"{path} has no weight {missing[0]}, which it says is corrected.", REBUILD)
    return replace(mix, corrected=levels)


def _on_grid(values: Array, plain: Rounded) -> Rounded:
    """``plain`` with the levels that are nearest to ``values`` [rows, columns]."""
    if values.shape != plain.levels.shape:
        return plain
    levels = np.rint(values / plain.step).clip(-128, 127).astype(np.int8)
    return replace(plain, levels=levels)
