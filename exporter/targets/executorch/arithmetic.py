"""How linear layers and embedding tables are computed and stored, by the mix.

The quantized forms are written out as the operators that the XNNPACK delegate takes together:
quantize and dequantize the activations, dequantize the weights, multiply. Run in PyTorch they
compute the same as the artifact (int4 tables but for rounding); lowered, each becomes one int8
product.
"""

import executorch.exir.passes._quant_patterns_and_replacements  # noqa: F401  (embedding_byte, ...)
import numpy as np
import torch
import torch.ao.quantization.fx._decomposed
from torch import nn

from exporter.quantization.kept import KEPT
from exporter.quantization.mix import METHODS, Method, Mix, is_table
from exporter.quantization.rounding import BLOCK, INT8_LIMIT, Rounded
from exporter.quantization.schemes.mixed import rounded

_QUANTIZED = torch.ops.quantized_decomposed
_ACTIVATION_RANGE = (-128, 127)
_INT4_LIMITS = (-8, 7)
#: Added to the levels of an int4 table, which are stored without a sign.
_INT4_SHIFT = 8

_FLOAT, _BY_TOKEN = METHODS["fp32"], METHODS["int8_token"]


class Arithmetic:
    """Makes the parts of a model that depend on its mix, of weights that are smoothed already.

    ``name`` is a weight's, that of the words' table for a decoder that is tied to it. ``group``
    counts the groups of a grouped layer, whose rows are given and rounded group by group.
    """

    def __init__(self, mix: Mix) -> None:
        self._mix = mix

    def operand(self, name: str, group: int = 0, groups: int = 1) -> nn.Module:
        """What prepares the input of one group of a linear layer: [1, T, C] -> [1, T, C]."""
        layer, by_token = name.removesuffix(".weight"), self._method(name).inputs == "token"
        factors = self._mix.factors(layer)
        if factors is None:
            return _Operand(by_token)
        part = np.split(factors, groups)[group]
        # Factors are powers of two: the product with the reciprocal is the quotient.
        return _SmoothedOperand(by_token, torch.from_numpy(np.float32(1) / part))

    def linear(
        self, name: str, weight: torch.Tensor, bias: torch.Tensor, group: int = 0
    ) -> nn.Module:
        """A linear layer of one group, for prepared inputs: [outputs, inputs], [outputs]."""
        if self._method(name) == _FLOAT:
            return _FloatLinear(weight, bias)
        stored = self._stored(name, weight, group)
        return _Int8Linear(stored, bias) if stored.bits == 8 else _Int4Linear(stored, bias)

    def table(self, name: str, weight: torch.Tensor) -> nn.Module:
        """An embedding table: indices [1, T] -> [1, T, H]."""
        if name in KEPT or self._mix.methods[name.removesuffix(".weight")] == "fp32":
            return _FloatTable(weight)
        stored = self._stored(name, weight)
        return _Int8Table(stored) if stored.bits == 8 else _Int4Table(stored)

    def _method(self, name: str) -> Method:
        """Of a linear layer; a decoder that is tied to a table is as wide as the table."""
        layer = name.removesuffix(".weight")
        if name in KEPT:
            return _FLOAT
        if is_table(layer):
            return _FLOAT if self._mix.methods[layer] == "fp32" else _BY_TOKEN
        return self._mix.method(layer)

    def _stored(self, name: str, weight: torch.Tensor, group: int = 0) -> Rounded:
        whole = self._mix.corrected.get(name)
        if whole is None:
            found = rounded(self._mix, name.removesuffix(".weight"), weight.numpy())
            assert found is not None  # fp32 is asked for elsewhere
            return found
        rows = slice(group * len(weight), (group + 1) * len(weight))
        return Rounded(whole.levels[rows].copy(), whole.bits, whole.scale[rows].copy())


class _Operand(nn.Module):
    """A product's input, quantized by token where the product is one of int8."""

    def __init__(self, by_token: bool) -> None:
        super().__init__()
        self.by_token = by_token

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        if not self.by_token:
            return block
        low, high = _ACTIVATION_RANGE
        scale, zero = _QUANTIZED.choose_qparams_per_token_asymmetric(block, torch.int8)
        levels = _QUANTIZED.quantize_per_token(block, scale, zero, low, high, torch.int8)
        result: torch.Tensor = _QUANTIZED.dequantize_per_token(
            levels, scale, zero, low, high, torch.int8, torch.float32
        )
        return result


class _SmoothedOperand(_Operand):
    """The same of an input whose channels are multiplied by ``reciprocals`` [C] before."""

    def __init__(self, by_token: bool, reciprocals: torch.Tensor) -> None:
        super().__init__(by_token)
        self.register_buffer("reciprocals", reciprocals)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        return super().forward(block * self.get_buffer("reciprocals"))


class _FloatLinear(nn.Module):
    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, block: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(block, self.get_buffer("weight"), self.get_buffer("bias"))


class _Int8Linear(nn.Module):
    def __init__(self, weight: Rounded, bias: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("levels", torch.from_numpy(weight.levels))
        self.register_buffer("scale", torch.from_numpy(weight.scale[:, 0]))
        self.register_buffer("zero", torch.zeros(len(weight.scale), dtype=torch.int64))
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
    def __init__(self, weight: Rounded, bias: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("levels", torch.from_numpy(weight.levels))
        self.register_buffer("scale", torch.from_numpy(weight.scale))
        self.register_buffer("zero", torch.zeros(weight.scale.shape, dtype=torch.int32))
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
    def __init__(self, table: Rounded) -> None:
        super().__init__()
        self.register_buffer("levels", torch.from_numpy(table.levels))
        self.register_buffer("scale", torch.from_numpy(table.scale[:, 0]))

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


class _Int4Table(nn.Module):
    """Two levels a byte, the even column in the high half and 8 added to each; fp16 scales.

    So reads the runtime's kernel (kernels/quantized/cpu/embeddingxb.cpp of ExecuTorch), which
    multiplies in fp32.
    """

    def __init__(self, table: Rounded) -> None:
        super().__init__()
        shifted = (table.levels + _INT4_SHIFT).astype(np.uint8)
        packed = shifted[:, 0::2] << 4 | shifted[:, 1::2]
        self.register_buffer("levels", torch.from_numpy(packed))
        self.register_buffer("scale", torch.from_numpy(table.scale.astype(np.float16)))

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _QUANTIZED.embedding_4bit.dtype(
            self.get_buffer("levels"),
            self.get_buffer("scale"),
            None,
            *_INT4_LIMITS,
            indices,
            dtype=torch.float32,
        )
        return result
