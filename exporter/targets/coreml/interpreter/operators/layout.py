"""Operators that move elements: shapes, parts, lookups. No new numbers, so nothing to round.

Definitions: coremltools' ``ops/defs/iOS15/{tensor_operation,tensor_transformation}.py`` and
``ops/defs/iOS17/{scatter_gather,tensor_transformation}.py``.
"""

from collections.abc import Mapping

import numpy as np

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.errors import Refused
from exporter.targets.coreml.interpreter.operators.axes import positive_axes
from exporter.targets.coreml.interpreter.operators.signature import Operator


def _concat(
    values: Array | tuple[Array, ...], axis: Array, interleave: Array | None = None
) -> Array:
    if interleave is not None and interleave:
        raise Refused("concat with interleave is not understood")
    given = values if isinstance(values, tuple) else (values,)
    return np.concatenate([value if value.ndim else value[None] for value in given], int(axis))


def _expand_dims(x: Array, axes: Array) -> Array:
    return np.expand_dims(x, positive_axes(axes, x.ndim + axes.size))


def _gather(
    x: Array,
    indices: Array,
    axis: Array | None = None,
    batch_dims: Array | None = None,
    validate_indices: Array | None = None,
) -> Array:
    """Refused for indices outside the axis: what runtimes do with them is undefined."""
    del validate_indices  # whether they are to be looked for; here they always are
    if batch_dims is not None and batch_dims:
        raise Refused("gather with batch_dims is not understood")
    (chosen,) = positive_axes(np.array([0 if axis is None else axis]), x.ndim)
    size = x.shape[chosen]
    if indices.size and not (indices.min() >= 0 and indices.max() < size):
        raise Refused(f"gather of {indices.min()} to {indices.max()} along an axis of {size}")
    found: Array = np.take(x, indices, axis=chosen)
    return found.astype(np.float32) if found.dtype == np.float16 else found


def _reshape(x: Array, shape: Array) -> Array:
    if not shape.all():
        raise Refused("reshape to a size of 0 is not understood")
    return x.reshape([int(size) for size in shape])


def _slice_by_index(
    x: Array,
    begin: Array,
    end: Array,
    stride: Array | None = None,
    begin_mask: Array | None = None,
    end_mask: Array | None = None,
    squeeze_mask: Array | None = None,
) -> Array:
    given = (begin, end, stride, begin_mask, end_mask, squeeze_mask)
    if any(part is not None and part.shape != (x.ndim,) for part in given):
        raise Refused(f"slice_by_index does not say one number for each of {x.ndim} axes")
    index: list[slice | int] = []
    for axis in range(x.ndim):
        if squeeze_mask is not None and squeeze_mask[axis]:
            index.append(int(begin[axis]))
            continue
        first = None if begin_mask is not None and begin_mask[axis] else int(begin[axis])
        last = None if end_mask is not None and end_mask[axis] else int(end[axis])
        index.append(slice(first, last, None if stride is None else int(stride[axis])))
    return x[tuple(index)]


def _slice_by_size(x: Array, begin: Array, size: Array) -> Array:
    if begin.shape != (x.ndim,) or size.shape != (x.ndim,):
        raise Refused(f"slice_by_size does not say one number for each of {x.ndim} axes")
    index: list[slice] = []
    for axis, (first, count) in enumerate(zip(begin.tolist(), size.tolist(), strict=True)):
        start = first + x.shape[axis] if first < 0 else first
        end = x.shape[axis] if count == -1 else start + count
        if not 0 <= start <= end <= x.shape[axis]:
            raise Refused(f"slice_by_size takes {count} from {first} of an axis of {x.shape[axis]}")
        index.append(slice(start, end))
    return x[tuple(index)]


def _split(
    x: Array, axis: Array, num_splits: Array | None = None, split_sizes: Array | None = None
) -> tuple[Array, ...]:
    (chosen,) = positive_axes(axis, x.ndim)
    if split_sizes is None:
        if num_splits is None or num_splits < 1:
            raise Refused("split does not say into how many parts")
        return tuple(np.split(x, int(num_splits), chosen))
    if num_splits is not None and int(num_splits) != split_sizes.size:
        raise Refused(f"split into {int(num_splits)} parts, but of {split_sizes.size} sizes")
    if int(split_sizes.sum()) != x.shape[chosen] or (split_sizes < 0).any():
        raise Refused(f"split into {split_sizes.tolist()} of an axis of {x.shape[chosen]}")
    return tuple(np.split(x, np.cumsum(split_sizes)[:-1], chosen))


def _squeeze(x: Array, axes: Array | None = None) -> Array:
    """Axes of another size than 1 stay, as in PyTorch."""
    chosen = range(x.ndim) if axes is None else positive_axes(axes, x.ndim)
    return x.squeeze(tuple(axis for axis in chosen if x.shape[axis] == 1))


def _transpose(x: Array, perm: Array) -> Array:
    return x.transpose(positive_axes(perm, x.ndim))


def _moves(compute: object, result: str = "A", **operands: str) -> Operator:
    assert callable(compute)
    return Operator(compute, operands, result, rounds=False)


OPERATORS: Mapping[str, Operator] = {
    "concat": _moves(_concat, values="A", axis="int32", interleave="bool"),
    "expand_dims": _moves(_expand_dims, x="A", axes="int32"),
    "gather": Operator(
        _gather,
        {
            **{"x": "A", "indices": "I"},
            **{"axis": "int32", "batch_dims": "int32", "validate_indices": "bool"},
        },
        "A",
        rounds=False,
        as_stored=("x",),
    ),
    "identity": _moves(lambda x: x, x="A"),
    "reshape": _moves(_reshape, x="A", shape="I"),
    "shape": _moves(lambda x: np.array(x.shape, np.int32), "int32", x="A"),
    "slice_by_index": _moves(
        _slice_by_index,
        x="A",
        **dict.fromkeys(("begin", "end", "stride"), "I"),
        **dict.fromkeys(("begin_mask", "end_mask", "squeeze_mask"), "bool"),
    ),
    "slice_by_size": _moves(_slice_by_size, x="A", begin="I", size="I"),
    "split": _moves(_split, x="A", axis="int32", num_splits="int32", split_sizes="int32"),
    "squeeze": _moves(_squeeze, x="A", axes="int32"),
    "transpose": _moves(_transpose, x="A", perm="int32"),
}
