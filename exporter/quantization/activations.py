"""Quantization of activations in the references of the schemes."""

from collections.abc import Callable

import torch
from torch import nn

from exporter.model.encoder import EncoderModel, MaskedLanguageModel
from exporter.model.layers import GroupedLinear
from exporter.quantization.kept import KEPT

_LEVELS = 255


def fake_quantize(tensor: torch.Tensor, by_token: bool = False) -> torch.Tensor:
    """The tensor on its own grid of 256 levels, or with ``by_token`` every row of [..., C] on its.

    As ONNX defines DynamicQuantizeLinear: ``scale = (max - min) / 255`` over a range that includes
    0, ties to even. XNNPACK's grids are the same but for the last bit of the scale.
    """
    low, high = torch.aminmax(tensor, dim=-1, keepdim=True) if by_token else torch.aminmax(tensor)
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = torch.where(high > low, (high - low) / _LEVELS, torch.ones_like(high))
    zero_point = torch.round(-low / scale).clamp(0, _LEVELS)
    levels = (torch.round(tensor / scale) + zero_point).clamp(0, _LEVELS)
    return (levels - zero_point) * scale


def quantize_to_bounds(tensor: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """The tensor on the grid of 256 levels over static bounds; what lies beyond is clipped.

    The grid is that of ``fake_quantize`` for a tensor of that range.
    """
    scale, zero_point = grid(low, high)
    levels = (torch.round(tensor / scale) + zero_point).clamp(0, _LEVELS)
    return (levels - zero_point) * scale


def grid(low: float, high: float) -> tuple[float, int]:
    """Scale (a fp32 number) and zero point of uint8 levels over ``low`` to ``high`` and 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(torch.tensor((high - low) / _LEVELS)) if high > low else 1.0
    return scale, min(max(round(-low / scale), 0), _LEVELS)


def quantized_layers(module: EncoderModel) -> dict[str, GroupedLinear]:
    """The linear layers whose input is quantized, by name: all but those of ``KEPT``."""
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, GroupedLinear) and f"{name}.weight" not in KEPT
    }


def replace_inputs(
    module: EncoderModel, replacement: Callable[[str, GroupedLinear, torch.Tensor], torch.Tensor]
) -> None:
    """Let every one of ``quantized_layers`` read another input.

    ``replacement`` makes it from the layer's name, the layer and its input.
    """
    for name, layer in quantized_layers(module).items():
        layer.register_forward_pre_hook(_on_input(name, replacement))
    # The head uses the decoder's weight (tied or not) without calling the decoder as a module.
    if isinstance(module.head, MaskedLanguageModel):
        decoder = module.head.decoder
        module.head.norm.register_forward_hook(
            lambda _module, _inputs, output: replacement("head.decoder", decoder, output)
        )


def _on_input(
    name: str, replacement: Callable[[str, GroupedLinear, torch.Tensor], torch.Tensor]
) -> Callable[[nn.Module, tuple[torch.Tensor]], torch.Tensor]:
    def hook(layer: nn.Module, inputs: tuple[torch.Tensor]) -> torch.Tensor:
        assert isinstance(layer, GroupedLinear)
        return replacement(name, layer, inputs[0])

    return hook


def quantize_inputs(
    module: EncoderModel, parts: Callable[[str, GroupedLinear], int], *, by_token: bool
) -> None:
    """Let every linear layer of ``module`` quantize its input, all but those of ``KEPT``.

    ``parts`` gives the number of blocks of channels that are quantized by themselves.
    """

    def quantized(name: str, layer: GroupedLinear, tensor: torch.Tensor) -> torch.Tensor:
        blocks = tensor.chunk(parts(name, layer), dim=-1)
        return torch.cat([fake_quantize(block, by_token) for block in blocks], dim=-1)

    replace_inputs(module, quantized)
