"""What Core ML's operators compute, and which of them read weights.

The definitions: coremltools' ``converters/mil/mil/ops/defs``, which document every operator. Only
the operators and arguments of this project's models are here.
"""

from collections.abc import Mapping

import torch

from exporter.targets.executorch.backends.coreml.program import parse
from exporter.targets.executorch.backends.evaluation import Unknown
from exporter.targets.executorch.backends.graph import Dialect, Kernel


def _slice(
    x: torch.Tensor,
    begin: torch.Tensor,
    end: torch.Tensor,
    begin_mask: torch.Tensor | None = None,
    end_mask: torch.Tensor | None = None,
    squeeze_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    index: list[slice | int] = []
    for axis in range(x.ndim):
        if squeeze_mask is not None and squeeze_mask[axis]:
            index.append(int(begin[axis]))
            continue
        first = None if begin_mask is not None and begin_mask[axis] else int(begin[axis])
        last = None if end_mask is not None and end_mask[axis] else int(end[axis])
        index.append(slice(first, last))
    return x[tuple(index)]


def _gather(
    x: torch.Tensor,
    indices: torch.Tensor,
    axis: torch.Tensor,
    batch_dims: torch.Tensor,
    validate_indices: torch.Tensor,
) -> torch.Tensor:
    del validate_indices  # whether wrong ones are looked for; here they always are
    if int(batch_dims) or int(axis):
        raise Unknown("gather along another axis than the first")
    return x[indices.long()]


def _concat(
    values: tuple[torch.Tensor, ...], axis: torch.Tensor, interleave: torch.Tensor
) -> torch.Tensor:
    if bool(interleave):
        raise Unknown("concat with interleave")
    return torch.cat([value if value.ndim else value[None] for value in values], int(axis))


def _reshape(x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    sizes = [int(size) for size in shape]
    if 0 in sizes:
        raise Unknown("reshape to a size of 0")
    return x.reshape(sizes)


def _matmul(
    x: torch.Tensor, y: torch.Tensor, transpose_x: torch.Tensor, transpose_y: torch.Tensor
) -> torch.Tensor:
    return (x.mT if bool(transpose_x) else x) @ (y.mT if bool(transpose_y) else y)


def _gelu(x: torch.Tensor, mode: str) -> torch.Tensor:
    if mode not in ("EXACT", "TANH_APPROXIMATION"):
        raise Unknown(f"gelu with the mode {mode}")
    approximate = "none" if mode == "EXACT" else "tanh"
    return torch.nn.functional.gelu(x, approximate=approximate)


def _layer_norm(
    x: torch.Tensor,
    axes: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    epsilon: torch.Tensor,
) -> torch.Tensor:
    if axes.tolist() not in ([-1], [x.ndim - 1]):
        raise Unknown("layer_norm over other axes than the last")
    return torch.nn.functional.layer_norm(x, x.shape[-1:], gamma, beta, float(epsilon))


def _expand_dims(x: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
    (axis,) = axes.tolist()
    return x.unsqueeze(axis)


def _cast(x: torch.Tensor, dtype: str) -> torch.Tensor:
    types = {
        "fp16": torch.float16,
        "fp32": torch.float32,
        "int16": torch.int16,
        "int32": torch.int32,
        "uint16": torch.uint16,
    }
    if dtype not in types:
        raise Unknown(f"cast to {dtype}")
    if x.is_floating_point() and not types[dtype].is_floating_point:
        raise Unknown(f"cast of fractions to {dtype}")
    return x if types[dtype].is_floating_point else x.long()  # the result's type is checked


_KERNELS: Mapping[str, Kernel] = {
    "add": lambda x, y: x + y,
    "cast": _cast,
    "concat": _concat,
    "expand_dims": _expand_dims,
    "gather": _gather,
    "gelu": _gelu,
    "greater_equal": lambda x, y: x >= y,
    "layer_norm": _layer_norm,
    "linear": lambda x, weight, bias: torch.nn.functional.linear(x, weight, bias),
    "matmul": _matmul,
    "mul": lambda x, y: x * y,
    "relu": lambda x: torch.relu(x),
    "reshape": _reshape,
    "silu": lambda x: torch.nn.functional.silu(x),
    "select": lambda cond, a, b: torch.where(cond, a, b),
    "shape": lambda x: torch.tensor(x.shape),
    "slice_by_index": _slice,
    "softmax": lambda x, axis: torch.softmax(x, int(axis)),
    "sub": lambda x, y: x - y,
    "tanh": lambda x: torch.tanh(x),
    "transpose": lambda x, perm: x.permute(perm.tolist()),
}

DIALECT = Dialect(
    name="coreml",
    delegate="CoreMLBackend",
    parse=parse,
    kernels=_KERNELS,
    linear=("linear", ("weight", "bias")),
    norm=("layer_norm", ("gamma", "beta")),
    lookup=("gather", ("x",)),
    indices="indices",
    # An index is selected if it is no negative one.
    carriers={"cast": "x", "select": "a", "slice_by_index": "x"},
)
