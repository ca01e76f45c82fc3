"""How linear layers and embedding tables are computed and stored, by precision.

The quantized forms are written out as the operators that the XNNPACK delegate takes together:
quantize and dequantize the activations, dequantize the weights, multiply. Run in PyTorch they
compute the same as the artifact; lowered, each becomes one int8 product.
"""

from typing import Protocol

import executorch.exir.passes._quant_patterns_and_replacements  # noqa: F401  (embedding_byte)
import torch
import torch.ao.quantization.fx._decomposed
from torch import nn

from exporter.errors import UserError
from exporter.quantization.kept import KEPT
from exporter.quantization.rounding import BLOCK, INT8_LIMIT, quantize_blocks, quantize_rows
from exporter.quantization.schemes.int4 import has_blocks

_QUANTIZED = torch.ops.quantized_decomposed
_ACTIVATION_RANGE = (-128, 127)
_INT4_LIMITS = (-8, 7)


class Arithmetic(Protocol):
    """Everything that depends on the precision."""

    def operand(self, block: torch.Tensor) -> torch.Tensor:
        """Prepare the input of one group of a linear layer: [1, T, C] -> [1, T, C]."""
        ...

    def linear(self, name: str, weight: torch.Tensor, bias: torch.Tensor) -> nn.Module:
        """A linear layer of one group, for prepared inputs: [outputs, inputs], [outputs]."""
        ...

    def table(self, name: str, weight: torch.Tensor) -> nn.Module:
        """An embedding table: indices [1, T] -> [1, T, H]."""
        ...


class FloatArithmetic:
    """fp32 throughout."""

    def operand(self, block: torch.Tensor) -> torch.Tensor:
        return block

    def linear(self, name: str, weight: torch.Tensor, bias: torch.Tensor) -> nn.Module:
        del name
        return _FloatLinear(weight, bias)

    def table(self, name: str, weight: torch.Tensor) -> nn.Module:
        del name
        return _FloatTable(weight)


class Int8Arithmetic:
    """int8 weights by output channel; activations quantized by token as they come."""

    def operand(self, block: torch.Tensor) -> torch.Tensor:
        low, high = _ACTIVATION_RANGE
        scale, zero = _QUANTIZED.choose_qparams_per_token_asymmetric(block, torch.int8)
        levels = _QUANTIZED.quantize_per_token(block, scale, zero, low, high, torch.int8)
        result: torch.Tensor = _QUANTIZED.dequantize_per_token(
            levels, scale, zero, low, high, torch.int8, torch.float32
        )
        return result

    def linear(self, name: str, weight: torch.Tensor, bias: torch.Tensor) -> nn.Module:
        return _FloatLinear(weight, bias) if name in KEPT else _Int8Linear(weight, bias)

    def table(self, name: str, weight: torch.Tensor) -> nn.Module:
        return _FloatTable(weight) if name in KEPT else _Int8Table(weight)


class Int4Arithmetic(Int8Arithmetic):
    """int4 weights in blocks of ``BLOCK`` inputs where the layer has whole blocks, else int8."""

    def linear(self, name: str, weight: torch.Tensor, bias: torch.Tensor) -> nn.Module:
        if has_blocks(name, weight.shape[1]):
            return _Int4Linear(weight, bias)
        return super().linear(name, weight, bias)


def find_arithmetic(precision: str) -> Arithmetic:
    """The arithmetic of ``precision``. UserError for one that this target does not have."""
    known: dict[str, type[Arithmetic]] = {
        "fp32": FloatArithmetic,
        "int8": Int8Arithmetic,
        "int4": Int4Arithmetic,
    }
    if precision not in known:
        raise UserError(
            f"The target executorch has no '{precision}'.", f"--precision: {', '.join(known)}."
        )
    return known[precision]()


class _FloatLinear(nn.Module):
    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(block, self.get_buffer("weight"), self.get_buffer("bias"))


class _Int8Linear(nn.Module):
    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        levels, scale = quantize_rows(weight.numpy())
        self.register_buffer("levels", torch.from_numpy(levels))
        self.register_buffer("scale", torch.from_numpy(scale))
        self.register_buffer("zero", torch.zeros(len(scale), dtype=torch.int64))
        self.register_buffer("bias", bias)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        weight = _QUANTIZED.dequantize_per_channel(
            self.get_buffer("levels"),
            self.get_buffer("scale"),
            self.get_buffer("zero"),
            0,
            -INT8_LIMIT,
            INT8_LIMIT,
            torch.int8,
        )
        return nn.functional.linear(block, weight, self.get_buffer("bias"))


class _Int4Linear(nn.Module):
    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        levels, scale = quantize_blocks(weight.numpy())
        self.register_buffer("levels", torch.from_numpy(levels))
        self.register_buffer("scale", torch.from_numpy(scale))
        self.register_buffer("zero", torch.zeros(scale.shape, dtype=torch.int32))
        self.register_buffer("bias", bias)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        low, high = _INT4_LIMITS
        weight = _QUANTIZED.dequantize_per_channel_group(
            self.get_buffer("levels"),
            self.get_buffer("scale"),
            self.get_buffer("zero"),
            low,
            high,
            torch.int8,
            BLOCK,
            torch.float32,
        )
        return nn.functional.linear(block, weight, self.get_buffer("bias"))


class _FloatTable(nn.Module):
    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        return nn.functional.embedding(indices, self.get_buffer("weight"))


class _Int8Table(nn.Module):
    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        levels, scale = quantize_rows(weight.numpy())
        self.register_buffer("levels", torch.from_numpy(levels))
        self.register_buffer("scale", torch.from_numpy(scale))

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _QUANTIZED.embedding_byte.dtype(
            self.get_buffer("levels"),
            self.get_buffer("scale"),
            None,
            -INT8_LIMIT,
            INT8_LIMIT,
            indices,
            dtype=torch.float32,
        )
        return result
