"""Tiny modules lowered to .pte files, with every kind of constant that a reader can meet."""

import contextlib
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from torch import nn

WORDS, HIDDEN, INNER, LENGTH, GROUP = 20, 32, 64, 8, 32

CONSTANTS: Mapping[str, Any] = {
    "task": "größe",
    "max_length": LENGTH,
    "ratio": 0.1,
    "cased": True,
    "table": torch.arange(6, dtype=torch.int64).reshape(2, 3),
}


class Layer(nn.Module):
    """A linear layer with weights in fp32, in int8 by channel, or in int4 by groups."""

    def __init__(self, inputs: int, outputs: int, precision: str, equal: bool) -> None:
        super().__init__()
        self.precision = precision
        weight, bias = torch.randn(outputs, inputs), torch.randn(outputs)
        self.bias = nn.Parameter(torch.zeros(outputs) if equal else bias)
        if precision == "fp32":
            self.weight = nn.Parameter(weight)
            return
        groups = (outputs, inputs // GROUP) if precision == "int4" else (outputs,)
        limit = 7 if precision == "int4" else 127
        dtype = torch.int32 if precision == "int4" else torch.int64
        self.register_buffer(
            "levels", torch.randint(-limit, limit + 1, weight.shape, dtype=torch.int8)
        )
        self.register_buffer("scale", torch.rand(groups) + 0.01)
        self.register_buffer("zero", torch.zeros(groups, dtype=dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.precision == "fp32":
            return nn.functional.linear(x, self.weight, self.bias)
        ops = torch.ops.quantized_decomposed
        scale, zero = ops.choose_qparams_per_token_asymmetric(x, torch.int8)
        x = ops.quantize_per_token(x, scale, zero, -128, 127, torch.int8)
        x = ops.dequantize_per_token(x, scale, zero, -128, 127, torch.int8, torch.float32)
        stored = self.levels, self.scale, self.zero
        if self.precision == "int4":
            weight = ops.dequantize_per_channel_group(
                *stored, -8, 7, torch.int8, GROUP, torch.float32
            )
        else:
            weight = ops.dequantize_per_channel(*stored, 0, -127, 127, torch.int8)
        return nn.functional.linear(x, weight, self.bias)


def gelu(x: torch.Tensor, approximate: str) -> torch.Tensor:
    """Spelled out for "tanh": the delegate takes the operator, but drops its ``approximate``."""
    if approximate == "tanh":
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return nn.functional.gelu(x, approximate=approximate)


class Tiny(nn.Module):
    """int64 [1, T] tokens and mask -> [1, T, HIDDEN]: kernels and a delegate.

    With ``equal``, some of its weights have the same content, and are stored once.
    """

    def __init__(
        self,
        seed: int = 0,
        precision: str = "fp32",
        epsilon: float = 1e-12,
        approximate: str = "none",
        masked: float = -1e4,
        equal: bool = False,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.words = nn.Embedding(WORDS, HIDDEN)
        self.norm = nn.LayerNorm(HIDDEN, epsilon)
        for vector in (self.norm.weight, self.norm.bias):
            nn.init.ones_(vector) if equal else nn.init.normal_(vector)
        self.first = Layer(HIDDEN, INNER, precision, equal)
        self.second = Layer(INNER, INNER, precision, equal)
        self.third = Layer(INNER, HIDDEN, precision, False)
        self.approximate = approximate
        self.masked = masked

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.words(ids))
        x = self.second(gelu(self.first(x), self.approximate))
        return self.third(x) + ((1 - mask.float()) * self.masked)[:, :, None]


class Shape(NamedTuple):
    """A length of a method's inputs, at most this where ``dynamic``."""

    length: int = LENGTH
    dynamic: bool = False


def lower(
    path: Path,
    module: nn.Module,
    methods: Mapping[str, Shape] | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Path:
    """Write the module to ``path``, once for every method."""
    exported = {}
    with quietly(), torch.no_grad():
        for name, shape in (methods or {"forward": Shape()}).items():
            example = tuple(torch.ones(1, shape.length, dtype=torch.int64) for _ in range(2))
            dim = torch.export.Dim("length", min=2, max=shape.length)
            shapes = tuple({1: dim} for _ in example) if shape.dynamic else None
            exported[name] = torch.export.export(module.eval(), example, dynamic_shapes=shapes)
        edge = to_edge_transform_and_lower(
            exported,
            partitioner={name: [XnnpackPartitioner()] for name in exported},
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
            constant_methods=dict(constants or {}),
        )
        path.write_bytes(edge.to_executorch().buffer)
    return path


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without the lowering's own chatter."""
    logging.disable(logging.WARNING)
    with (
        warnings.catch_warnings(),
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stderr(nowhere),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
