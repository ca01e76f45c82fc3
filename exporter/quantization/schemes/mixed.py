"""mixed: every layer and table by the method that ``SourceModel.mix`` has for it.

Methods are defined in ``exporter.quantization.mix``. Attention scores and the context, LayerNorm,
activations and residuals stay fp32, and so do the matrices of ``exporter.quantization.kept``.
"""

from dataclasses import replace

import torch

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, SourceModel
from exporter.model.encoder import build_module
from exporter.model.layers import GroupedLinear
from exporter.quantization.activations import fake_quantize, quantize_to_bounds, replace_inputs
from exporter.quantization.equalization import equalize_values
from exporter.quantization.levels import quantize_table
from exporter.quantization.mix import METHODS, Float32, Mix, Weights, is_table, matrices
from exporter.quantization.reference import Reference
from exporter.quantization.rounding import (
    Rounded,
    quantize_blocks,
    quantize_rows,
    quantize_two_levels,
)
from exporter.quantization.schemes import Scheme
from exporter.quantization.schemes.int8 import SCHEME as INT8
from exporter.quantization.tolerance import LayerTolerance


def mix_of(model: SourceModel) -> Mix:
    """The model's mix. UserError when it has none."""
    if model.mix is None:
        raise UserError(
            "The precision 'mixed' has no mix: nothing says how each layer is computed.",
            "Let the build choose one: --budget POINTS",
        )
    return model.mix


def smoothed(model: SourceModel) -> SourceModel:
    """The model whose smoothed layers have their factors in their weights.

    It has the function of ``model`` where the inputs of these layers are divided by the factors.
    """
    mix = mix_of(model)
    weights = dict(model.weights)
    for name in matrices(model.config, model.task):
        factors = None if is_table(name) else mix.factors(name)
        if factors is not None:
            weights[f"{name}.weight"] = _scaled(weights[f"{name}.weight"], factors)
    return replace(model, weights=weights)


def _scaled(weight: torch.Tensor, factors: Float32) -> torch.Tensor:
    """[outputs, inputs / groups] with every column multiplied by its channel's factor."""
    groups = len(factors) // weight.shape[1]
    blocks = weight.reshape(groups, -1, weight.shape[1])
    return (blocks * torch.from_numpy(factors).reshape(groups, 1, -1)).reshape(weight.shape)


def rounded(mix: Mix, name: str, weight: Float32) -> Rounded | None:
    """The stored form of the layer or table ``name``, whose smoothed weight is given; None: fp32.

    The weight may be a group of the layer alone: rows are rounded by themselves. (Corrected
    weights are looked up by the whole layer, see ``Mix.corrected``.)
    """
    method = mix.methods[name]
    if not is_table(name):
        return _rounded(METHODS[method].weights, weight)
    if method == "int4":
        return quantize_table(weight)
    return _rounded("int8" if method == "int8" else "fp32", weight)


def _rounded(kind: Weights, weight: Float32) -> Rounded | None:
    if kind == "fp32":
        return None
    if kind == "int4_two_level":
        return quantize_two_levels(weight)
    levels, scale = quantize_rows(weight) if kind == "int8" else quantize_blocks(weight)
    return Rounded(levels, 8 if kind == "int8" else 4, scale.reshape(len(levels), -1))


def rounded_weights(model: SourceModel) -> dict[str, Rounded]:
    """Every stored matrix that is not fp32, by weight name: corrected ones as they are."""
    mix, weights = mix_of(model), smoothed(model).weights
    found = {}
    for name in matrices(model.config, model.task):
        weight = f"{name}.weight"
        stored = mix.corrected.get(weight) or rounded(mix, name, weights[weight].numpy())
        if stored is not None:
            found[weight] = stored
    return found


def dequantized(model: SourceModel) -> SourceModel:
    """The smoothed model on the values that its stored weights stand for."""
    values = {n: torch.from_numpy(r.values()) for n, r in rounded_weights(model).items()}
    return replace(model, weights={**smoothed(model).weights, **values})


def mixed_reference(model: SourceModel) -> Reference:
    """The model as an artifact computes it. UserError when it has no mix."""
    mix = mix_of(model)
    module = build_module(dequantized(model))

    def replacement(name: str, layer: GroupedLinear, tensor: torch.Tensor) -> torch.Tensor:
        factors = mix.factors(name)
        if factors is not None:
            tensor = tensor / torch.from_numpy(factors)
        return quantized_input(mix, model.config, name, layer.groups, tensor)

    replace_inputs(module, replacement)
    return Reference(module)


def quantized_input(
    mix: Mix, config: EncoderConfig, name: str, groups: int, tensor: torch.Tensor
) -> torch.Tensor:
    """The (smoothed) input [..., C] of the layer ``name`` on its method's grid."""
    if name == "head.decoder" and config.tied_decoder:
        return _tied_input(mix, tensor)
    match mix.method(name).inputs:
        case "float":
            return tensor
        case "static":
            return quantize_to_bounds(tensor, *mix.bounds[name])
        case "symmetric":
            return quantize_symmetrically(tensor)
        case "token":
            return _by_block(tensor, groups, by_token=True)
        case "tensor":
            return _by_block(tensor, tensor_parts(config, name), by_token=False)


def _tied_input(mix: Mix, tensor: torch.Tensor) -> torch.Tensor:
    """A decoder that multiplies with the words' table quantizes its input as most layers do."""
    if mix.methods["embeddings.word"] == "fp32":
        return tensor
    return fake_quantize(
        tensor, by_token=mix.methods["head.transform"] in ("int8_token", "int4_token")
    )


def tensor_parts(config: EncoderConfig, name: str) -> int:
    """Blocks of channels that have a range of their own where one range a tensor is asked for."""
    groups = config.groups
    grouped = name.endswith("feed_forward.output") and groups.intermediate == groups.output
    return groups.output if grouped else 1


def quantize_symmetrically(tensor: torch.Tensor) -> torch.Tensor:
    """[..., C] on each row's grid of 255 levels: scale = largest magnitude / 127, ties to even."""
    scale = tensor.abs().amax(dim=-1, keepdim=True) / 127
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return torch.round(tensor / scale).clamp(-127, 127) * scale


def _by_block(tensor: torch.Tensor, parts: int, *, by_token: bool) -> torch.Tensor:
    return torch.cat([fake_quantize(b, by_token) for b in tensor.chunk(parts, dim=-1)], dim=-1)


#: Layers are compared as those of int8.
_LAYER_TOLERANCE = LayerTolerance(INT8.layer_tolerance.typical, INT8.layer_tolerance.worst)

#: Of an artifact's outputs from those of its own reference (see the gate). Measured: at most 0.067,
#: on a trained MiniLM whose activations have outliers, 0.022 on the other models, of uniform mixes
#: in ONNX and ExecuTorch. As for int8, differences of 1e-7 move values across borders of steps, and
#: add up over the layers.
_OUTPUT_TOLERANCE = 0.3

SCHEME = Scheme(
    "mixed",
    4,
    equalize_values,
    mixed_reference,
    _LAYER_TOLERANCE,
    _OUTPUT_TOLERANCE,
    equalized=True,
    mixed=True,
)
