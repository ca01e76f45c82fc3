"""Errors in the code that lowers to ExecuTorch, put in for the length of a test.

The artifact and its twin are then wrong in the same way, so that comparing their structure shows
nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from encoder_patches import (
    Patch,
    change_attend,
    change_chain,
    change_inputs,
    change_layer,
    change_linear,
    change_norm,
    set_global,
)
from small_programs import BLOCKS
from torch import nn

from exporter.model.encoder import ACTIVATION_FUNCTIONS
from exporter.quantization.mix import Mix
from exporter.quantization.rounding import Rounded
from exporter.quantization.schemes.mixed import rounded
from exporter.targets.executorch import arithmetic, module
from exporter.targets.executorch.module import ChainedLayer, MobileEncoder

BERT = {"family": "bert"}
TOKENS = {"family": "bert", "task": "token-classification"}
GROUPS = {"task": "token-classification"}


@dataclass(frozen=True)
class EncoderCorruption:
    """``patch`` breaks the code; the ``checks`` have to fail."""

    name: str
    checks: tuple[str, ...]
    patch: Patch
    precision: str = "fp32"
    changes: dict[str, Any] = field(default_factory=lambda: BERT)


def _last_token_first(hidden: torch.Tensor, mask: torch.Tensor, first_only: bool) -> Any:
    return (hidden.flip(1), mask.flip(2), True) if first_only else (hidden, mask, False)


def _shifted_positions(self: MobileEncoder, *given: Any) -> None:
    _INIT(self, *given)
    self.register_buffer("positions", self.get_buffer("positions").roll(-1))


_INIT = MobileEncoder.__init__


def _without_residual(
    self: ChainedLayer, hidden: torch.Tensor, mask: torch.Tensor, first_only: bool
) -> torch.Tensor:
    """As the right one, but for the residual of the feed-forward part."""
    rows = hidden[:, :1] if first_only else hidden
    context = self._attention(rows, hidden, mask, first_only)
    (attended,) = self.post_attention(self.post_attention.prepare([context]))
    hidden = self.attention_norm(attended + rows)
    blocks = self.intermediate(self.intermediate.prepare([hidden]))
    blocks = self.output.prepare([self.activation(block) for block in blocks])
    return torch.as_tensor(self.output_norm(torch.cat(self.output(blocks), dim=-1)))


def _coarse_epsilon(norm: nn.LayerNorm) -> nn.LayerNorm:
    norm.eps = 1e-5
    return norm


class _ByMultiplication(nn.Module):
    """A linear layer as a product of matrices, of which the second is constant."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.T[None].clone())
        self.register_buffer("bias", bias)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        return torch.bmm(block, self.get_buffer("weight")) + self.get_buffer("bias")


def _made_by(kind: Any, layer: str) -> Patch:
    """Only ``layer`` is made by ``kind(weight, bias)``."""

    def change(right: Any, name: str, weight: torch.Tensor, bias: torch.Tensor) -> nn.Module:
        made = kind if name == f"{layer}.weight" else lambda *given: right(name, *given)
        return made(weight, bias)

    return change_linear(change)


class _WithArctangent(nn.Module):
    """LayerNorm, and an operator that the delegate does not have, without effect."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.norm(hidden) + torch.atan(hidden) * 0)


def _rounded_down(mix: Mix, name: str, weight: Any) -> Rounded | None:
    right = rounded(mix, name, weight)
    if right is None:
        return None
    return replace(right, levels=np.trunc(weight / right.step).astype(np.int8))


def _one_scale(mix: Mix, name: str, weight: Any) -> Rounded | None:
    """int4 with one step for a row instead of a block."""
    right = rounded(mix, name, weight)
    if right is None or right.bits != 4:
        return right
    scale = np.broadcast_to(right.scale.max(axis=1, keepdims=True), right.scale.shape).copy()
    levels = np.rint(weight / scale[:, :1]).clip(-7, 7).astype(np.int8)
    return replace(right, levels=levels, scale=scale)


def encoder_corruptions() -> Iterator[EncoderCorruption]:
    """Every error that is put into the lowering in the tests."""
    parity = ("layer parity",)

    def wrong(name: str, patch: Patch, *given: Any, **options: Any) -> EncoderCorruption:
        return EncoderCorruption(name, parity, patch, *given, **options)

    swapped = change_attend(lambda query, key, value, mask: (key, query, value, mask))
    yield wrong("query and key swapped", swapped, changes=TOKENS)
    yield wrong("attention scale", change_attend(lambda q, k, v, mask: (q * 1.02, k, v, mask)))
    for name, factor in (("off", 0.0), ("weak", 3e-30), ("inverted", -1.0)):
        patch = change_layer(lambda h, mask, first, f=factor: (h, mask * f, first))
        yield wrong(f"mask {name}", patch)
    yield wrong("last token's row", change_layer(_last_token_first))
    yield wrong("residual missing", set_global(ChainedLayer, "forward", _without_residual))
    yield wrong("positions shifted", set_global(MobileEncoder, "__init__", _shifted_positions))
    for norm in ("embeddings.norm", "layers.0.attention.norm"):
        yield wrong(f"epsilon of {norm}", change_norm(norm, _coarse_epsilon))
    tanh = set_global(module, "activation_function", lambda _: module._tanh_gelu)
    for precision in ("fp32", "int8"):
        yield wrong("tanh gelu", tanh, precision)
    # The delegate computes it with erf.
    operator = set_global(module, "activation_function", ACTIVATION_FUNCTIONS.__getitem__)
    yield wrong("tanh gelu as an operator", operator, changes={**BERT, "activation": "gelu_new"})
    yield from _groups()
    ignored = change_inputs(lambda ids, mask, types: (ids, mask, torch.zeros_like(types)))
    seen = ("coverage", "weight audit", "layer parity")
    yield EncoderCorruption("token types ignored", seen, ignored)
    yield from _stored()


def _groups() -> Iterator[EncoderCorruption]:
    """Errors in grouped layers."""
    parity = ("layer parity",)
    inner, query = "layers.0.feed_forward.intermediate", "layers.0.attention.query"
    for name, patch in (
        ("groups read in wrong order", change_chain(inner, lambda blocks: blocks[::-1])),
        ("groups joined in wrong order", change_chain(query, after=lambda blocks: blocks[::-1])),
        (
            "one group dropped",
            change_chain(inner, after=lambda blocks: [*blocks[:3], blocks[3] * 0]),
        ),
    ):
        yield EncoderCorruption(name, parity, patch, changes=GROUPS)


def _stored() -> Iterator[EncoderCorruption]:
    """Errors that change what is stored, or how."""
    down = set_global(arithmetic, "rounded", _rounded_down)
    yield EncoderCorruption("rounded down", ("weight audit", "layer parity"), down, "int8")
    coarse = set_global(arithmetic, "rounded", _one_scale)
    seen = ("weight audit", "layer parity")
    yield EncoderCorruption("one int4 step a row", seen, coarse, "int4", {**BLOCKS, **BERT})
    layer = "layers.0.attention.output"
    float_layer = _made_by(arithmetic._FloatLinear, layer)
    yield EncoderCorruption("one layer in fp32", ("coverage", "layer parity"), float_layer, "int8")
    multiplied = _made_by(_ByMultiplication, layer)
    yield EncoderCorruption("one layer by bmm", ("coverage", "weight audit"), multiplied)
    outside = change_norm("layers.0.attention.norm", _WithArctangent)
    yield EncoderCorruption("an operator outside", ("coverage",), outside)
