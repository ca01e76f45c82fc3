"""What the operators of Vulkan graphs compute, and which of them read weights.

They are PyTorch's, with all arguments of their schema in its order, and two of the delegate's own.
Only the operators and arguments of this project's models are here.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from exporter.targets.executorch.backends.graph import DelegateGraph, Dialect, Unknown
from exporter.targets.executorch.backends.torch_evaluation import Kernel, prepare
from exporter.targets.executorch.backends.vulkan.program import parse_graph


def _embedding(
    weight: torch.Tensor, indices: torch.Tensor, padding_idx: int, scale: bool, sparse: bool
) -> torch.Tensor:
    del padding_idx, scale, sparse  # these are about gradients
    return weight[indices.long()]


def _slice(
    x: torch.Tensor, dim: int, start: int | None, end: int | None, step: int
) -> torch.Tensor:
    index = [slice(None)] * x.ndim
    index[dim] = slice(start, end, step)
    return x[tuple(index)]


def _select(x: torch.Tensor, dim: int, index: int) -> torch.Tensor:
    return x.select(dim, index)


def _norm(
    x: torch.Tensor,
    shape: tuple[int, ...],
    weight: torch.Tensor,
    bias: torch.Tensor,
    epsilon: float,
) -> Any:
    return torch.native_layer_norm(x, shape, weight, bias, epsilon)


def _convert(
    x: torch.Tensor, dtype: None, layout: None, device: None, pin: None, wait: bool, order: None
) -> torch.Tensor:
    """The type is that of the result; no other argument is expected."""
    if (dtype, layout, device, pin, order) != (None,) * 5 or wait:
        raise Unknown("_to_copy with arguments")
    return x


def _clone(x: torch.Tensor, memory_format: None) -> torch.Tensor:
    if memory_format is not None:
        raise Unknown("clone with a memory format")
    return x


def _softmax(x: torch.Tensor, dim: int, half_to_float: bool) -> torch.Tensor:
    if half_to_float:
        raise Unknown("softmax to another type")
    return torch.softmax(x, dim)


def _gelu(x: torch.Tensor, approximate: str) -> torch.Tensor:
    return torch.nn.functional.gelu(x, approximate=approximate)


_KERNELS: Mapping[str, Kernel] = {
    "aten._softmax.default": _softmax,
    "aten._to_copy.default": _convert,
    "aten.add.Tensor": lambda x, y, alpha: x + alpha * y,
    "aten.bmm.default": lambda x, y: torch.bmm(x, y),
    "aten.cat.default": lambda tensors, dim: torch.cat(tensors, dim),
    "aten.clone.default": _clone,
    "aten.embedding.default": _embedding,
    "aten.gelu.default": _gelu,
    "aten.linear.default": lambda x, weight, bias: torch.nn.functional.linear(x, weight, bias),
    "aten.mul.Tensor": lambda x, y: x * y,
    "aten.native_layer_norm.default": _norm,
    "aten.permute_copy.default": lambda x, dims: x.permute(dims),
    "aten.relu.default": lambda x: torch.relu(x),
    "aten.select_copy.int": _select,
    "aten.sigmoid.default": lambda x: torch.sigmoid(x),
    "aten.slice_copy.Tensor": _slice,
    "aten.sub.Tensor": lambda x, y, alpha: x - alpha * y,
    "aten.tanh.default": lambda x: torch.tanh(x),
    "aten.unsqueeze_copy.default": lambda x, dim: x.unsqueeze(dim),
    "aten.view_copy.default": lambda x, sizes: x.reshape(sizes),
    "et_vk.prepack.default": lambda x: x,
    "sym_size.int": lambda x, dim: x.shape[dim],
}


def _parse(blob: memoryview, named_data: Mapping[str, memoryview]) -> DelegateGraph:
    return parse_graph(blob, named_data, _names)


def _names(kind: str) -> tuple[str, ...]:
    kernel = _KERNELS.get(kind)
    return tuple(inspect.signature(kernel).parameters) if kernel else ()


DIALECT = Dialect(
    name="vulkan",
    delegate="VulkanBackend",
    parse=_parse,
    prepare=lambda graph: prepare(graph, _KERNELS),
    linear=("aten.linear.default", ("weight", "bias")),
    norm=("aten.native_layer_norm.default", ("weight", "bias")),
    lookup=("aten.embedding.default", ("weight",)),
    indices="indices",
    carriers={
        "aten._to_copy.default": "x",
        "aten.clone.default": "x",
        "aten.slice_copy.Tensor": "x",
    },
)
