"""The mix of an artifact on disk: what it says of itself, and the corrected levels that it holds.

A corrected weight's scales are those of plain rounding, which follow from the source; its levels
follow from calibration texts as well, and are therefore read back. The audit then finds them on
that grid, near the source, and ``mix_check`` compares them with those that were chosen.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from exporter.errors import REBUILD, UserError
from exporter.model.config import SourceModel
from exporter.quantization.activations import grid
from exporter.quantization.mix import METHODS, Mix, check_mix, is_table, read_mix, units
from exporter.quantization.rounding import Rounded
from exporter.quantization.schemes.mixed import rounded_weights
from exporter.quantization.smoothing import static_bounds
from exporter.targets.base import Array, Target
from exporter.verification.report import Check

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


def mix_check(mix: Mix, chosen: str | None) -> Check:
    """The mix that was read back is the one that was chosen, corrected levels included.

    ``chosen`` is its hash as the manifest has it, None where it has none. The other checks do not
    see a corrected level that became its neighbour: the bounds of the audit leave room for that.
    """
    found = mix.sha256
    detail = f"{len(mix.corrected)} corrected weights and all else as they were chosen"
    if chosen is None:
        detail = "the manifest does not have the hash of the mix that was chosen"
    elif found != chosen:
        detail = (
            "a method, a factor, a bound or a corrected level is another than was chosen: the hash "
            f"is {found[:12]}, the manifest says {chosen[:12]}"
        )
    return Check("mix", found == chosen, detail, {"different": float(found != chosen)}, 0.0)


def smoothing_check(found: Mapping[str, Array], stored: SourceModel) -> Check:
    """The artifact divides the inputs of layers by the mix's factors, and by nothing else."""
    wanted = {} if stored.mix is None else stored.mix.smoothing
    wrong = sorted(set(found) ^ set(wanted))
    wrong += [n for n in set(found) & set(wanted) if not np.array_equal(found[n], wanted[n])]
    detail = (
        f"{wrong[0]} has other factors than the mix" if wrong else f"{len(wanted)} smoothed inputs"
    )
    return Check("smoothing", not wrong, detail, {"wrong": float(len(wrong))}, 0)


def bounds_check(found: Mapping[str, tuple[float, int]], stored: SourceModel) -> Check:
    """Inputs with static bounds are on the grids (scale and zero point) of the mix's bounds.

    Layers that read one tensor have one grid, under the name of the first of them.
    """
    wanted = {}
    mix = stored.mix
    if mix is not None:
        for unit in units(stored.config, stored.task):
            first = unit.members[0]
            if not is_table(first) and mix.method(first).inputs == "static":
                wanted[first] = grid(*mix.bounds[first])
    wrong = sorted(set(found) ^ set(wanted))
    wrong += [name for name in sorted(set(found) & set(wanted)) if found[name] != wanted[name]]
    detail = (
        f"the input of {wrong[0]} has another grid than the mix's bounds make"
        if wrong
        else f"{len(wanted)} inputs with static bounds"
    )
    return Check("static bounds", not wrong, detail, {"wrong": float(len(wrong))}, 0)


def with_own_values(model: SourceModel) -> SourceModel:
    """``model`` with the methods and factors of its mix, and what else follows from its weights.

    For a model that has another one's mix. Corrected levels are values of that one's weights, and
    are left out. Static bounds are ranges of its activations, and are taken anew from
    ``model.calibration``: with those of two trained models (all layers int8_static, smoothed), the
    median input of sensitised weights uses 27 and 33 of the 256 levels, with its own 209 and 201.
    """
    if model.mix is None:
        return model
    mix = replace(model.mix, corrected={})
    model = replace(model, mix=mix)
    methods = [METHODS[method] for name, method in mix.methods.items() if not is_table(name)]
    if not any(method.inputs == "static" for method in methods):
        return model
    own = static_bounds(model, model.calibration)
    bounds = {name: own.get(name, others) for name, others in mix.bounds.items()}
    return replace(model, mix=replace(mix, bounds=bounds))
