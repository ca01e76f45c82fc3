"""Operators that move elements move them as PyTorch does, whatever the type."""

from itertools import accumulate
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from hypothesis.extra.numpy import array_shapes
from single_operations import (
    PLACE,
    Moving,
    check,
    compute,
    constant,
    float_types,
    integer,
    integers,
    numbers,
    quick,
    seeds,
    truth,
)

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.errors import Refused

shapes = array_shapes(max_dims=4, max_side=6)
_ANY = ["float16", "float32", "int32", "bool"]


def _values(seed: int, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    values = numbers(seed, shape, "float16", 50)
    return values if dtype.startswith("float") else values.to(getattr(torch, dtype))


@given(shape=shapes, dtype=strategies.sampled_from(_ANY), seed=seeds, data=strategies.data())
@quick
def test_transpose(
    shape: tuple[int, ...], dtype: str, seed: int, data: strategies.DataObject
) -> None:
    x = _values(seed, shape, dtype)
    order = data.draw(strategies.permutations(range(len(shape))))
    signs = [axis - len(shape) if data.draw(strategies.booleans()) else axis for axis in order]
    check("transpose", x.permute(order), dtype, x=Moving(x, dtype), perm=integers(*signs))


@given(shape=shapes, dtype=strategies.sampled_from(_ANY), seed=seeds, data=strategies.data())
@quick
def test_expand_dims_and_squeeze(
    shape: tuple[int, ...], dtype: str, seed: int, data: strategies.DataObject
) -> None:
    x = _values(seed, shape, dtype)
    count = data.draw(strategies.integers(1, 2))
    rank = len(shape) + count
    axes = data.draw(
        strategies.sets(strategies.integers(0, rank - 1), min_size=count, max_size=count)
    )
    wide = x
    for axis in sorted(axes):
        wide = wide.unsqueeze(axis)
    negative = [axis - rank for axis in axes]
    for given_axes in (sorted(axes), negative):
        check("expand_dims", wide, dtype, x=Moving(x, dtype), axes=integers(*given_axes))
    # An axis of another size than 1 stays.
    every = integers(*range(rank))
    check("squeeze", wide.squeeze(tuple(axes)), dtype, x=Moving(wide, dtype), axes=integers(*axes))
    check("squeeze", wide.squeeze(), dtype, x=Moving(wide, dtype), axes=every)
    check("squeeze", wide.squeeze(), dtype, x=Moving(wide, dtype))


@given(shape=shapes, dtype=strategies.sampled_from(_ANY), seed=seeds)
@quick
def test_reshape_and_shape(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    x = _values(seed, shape, dtype)
    for wanted in ((-1,), (1, *shape), (*shape[1:], shape[0]), (shape[0], -1)):
        found = x.reshape(wanted)
        check("reshape", found, dtype, x=Moving(x, dtype), shape=integers(*wanted))
        check("reshape", found, dtype, x=Moving(x, dtype), shape=Moving(np.int32(wanted)))
    check("identity", x, dtype, x=Moving(x, dtype))
    check("shape", torch.tensor(shape, dtype=torch.int32), "int32", x=Moving(x, dtype))


@given(
    shape=shapes,
    dtype=strategies.sampled_from(_ANY),
    seed=seeds,
    sizes=strategies.lists(strategies.integers(1, 4), min_size=1, max_size=4),
    data=strategies.data(),
)
@quick
def test_concat_and_split(
    shape: tuple[int, ...], dtype: str, seed: int, sizes: list[int], data: strategies.DataObject
) -> None:
    axis = data.draw(strategies.integers(-len(shape), len(shape) - 1))
    at = axis % len(shape)
    parts = [
        _values(seed + n, (*shape[:at], size, *shape[at + 1 :]), dtype)
        for n, size in enumerate(sizes)
    ]
    whole = torch.cat(parts, axis)
    given_parts = tuple(Moving(part, dtype) for part in parts)
    check("concat", whole, dtype, values=given_parts, axis=integer(axis), interleave=truth(False))

    declared = [(dtype, tuple(part.shape)) for part in parts]
    found = compute(
        "split", *declared, x=Moving(whole, dtype), axis=integer(axis), split_sizes=integers(*sizes)
    )
    for part, split in zip(parts, found, strict=True):
        np.testing.assert_array_equal(split, part.numpy())
    even = torch.cat([parts[0]] * 3, axis)
    declared = [(dtype, tuple(parts[0].shape))] * 3
    found = compute(
        "split", *declared, x=Moving(even, dtype), axis=integer(axis), num_splits=integer(3)
    )
    for split in found:
        np.testing.assert_array_equal(split, parts[0].numpy())


@given(shape=shapes, dtype=strategies.sampled_from(_ANY), seed=seeds, data=strategies.data())
@quick
def test_slice_by_index(
    shape: tuple[int, ...], dtype: str, seed: int, data: strategies.DataObject
) -> None:
    """Numbers, masks and strides, axis by axis; what they mean is Python's slice."""
    x = _values(seed, shape, dtype)
    begin, end, stride = [], [], []
    masks: dict[str, list[bool]] = {"begin_mask": [], "end_mask": [], "squeeze_mask": []}
    expected = x
    squeezed = []
    for axis, size in enumerate(shape):
        first = data.draw(strategies.integers(0, size - 1))
        last = data.draw(strategies.integers(first + 1, size))
        step = data.draw(strategies.integers(1, 3))
        flags = [data.draw(strategies.booleans()) for _ in masks]
        for flag, mask in zip(flags, masks.values(), strict=True):
            mask.append(flag)
        begin.append(first - size if data.draw(strategies.booleans()) else first)
        end.append(last)
        stride.append(step)
        if flags[2]:
            chosen = [first]
            squeezed.append(axis)
        else:
            chosen = list(range(0 if flags[0] else first, size if flags[1] else last, step))
        expected = expected.index_select(axis, torch.tensor(chosen))
    expected = expected.squeeze(tuple(squeezed)) if squeezed else expected
    operands: dict[str, Any] = {name: constant(np.array(mask)) for name, mask in masks.items()}
    operands |= {"end": integers(*end), "stride": integers(*stride)}
    check("slice_by_index", expected, dtype, x=Moving(x, dtype), begin=integers(*begin), **operands)


@given(shape=shapes, seed=seeds, data=strategies.data())
@quick
def test_slice_by_size(shape: tuple[int, ...], seed: int, data: strategies.DataObject) -> None:
    x = _values(seed, shape, "float16")
    begin, size, expected = [], [], x
    for axis, whole in enumerate(shape):
        first = data.draw(strategies.integers(0, whole - 1))
        count = data.draw(strategies.sampled_from([-1, *range(1, whole - first + 1)]))
        begin.append(first - whole if data.draw(strategies.booleans()) else first)
        size.append(count)
        expected = expected.narrow(axis, first, whole - first if count == -1 else count)
    given_x = Moving(x, "float16")
    check(
        "slice_by_size",
        expected,
        "float16",
        x=given_x,
        begin=integers(*begin),
        size=integers(*size),
    )


@given(
    shape=shapes,
    dtype=float_types,
    seed=seeds,
    rows=array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=5),
    table_is_constant=strategies.booleans(),
    data=strategies.data(),
)
@quick
def test_gather(
    shape: tuple[int, ...],
    dtype: str,
    seed: int,
    rows: tuple[int, ...],
    table_is_constant: bool,
    data: strategies.DataObject,
) -> None:
    x = _values(seed, shape, dtype)
    axis = data.draw(strategies.integers(-len(shape), len(shape) - 1))
    generator = np.random.default_rng(seed)
    indices = generator.integers(0, shape[axis], rows).astype(np.int32)
    flat = torch.from_numpy(indices.reshape(-1)).int()
    at = axis % len(shape)
    expected = x.index_select(axis, flat).reshape((*shape[:at], *rows, *shape[at + 1 :]))
    table = constant(x.numpy(), dtype) if table_is_constant else Moving(x, dtype)
    operands = {"axis": integer(axis), "batch_dims": integer(0), "validate_indices": truth(False)}
    check("gather", expected, dtype, x=table, indices=Moving(indices), **operands)


def _table() -> Array:
    return np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize(
    ("kind", "operands", "message"),
    [
        ("gather", {"indices": integers(4)}, "gather of 4 to 4 along an axis of 4"),
        ("gather", {"indices": integers(0, -1)}, "gather of -1 to 0 along an axis of 4"),
        ("gather", {"indices": integers(0), "batch_dims": integer(1)}, "gather with batch_dims"),
        ("gather", {"indices": integers(0), "axis": integer(2)}, "the axes [2] are not of 2 axes"),
        ("reshape", {"shape": integers(0, 12)}, "reshape to a size of 0"),
        ("reshape", {"shape": integers(5)}, "reshape: cannot reshape array of size 12"),
        ("transpose", {"perm": integers(0, 0)}, "the axes [0, 0] are not of 2 axes"),
        ("transpose", {"perm": integers(0)}, "transpose: axes don't match array"),
        ("expand_dims", {"axes": integers(3)}, "the axes [3] are not of 3 axes"),
        ("squeeze", {"axes": integers(-3)}, "the axes [-3] are not of 2 axes"),
        (
            "slice_by_index",
            {"begin": integers(0), "end": integers(1)},
            "slice_by_index does not say one number for each of 2 axes",
        ),
        (
            "slice_by_size",
            {"begin": integers(0, 1), "size": integers(4, 3)},
            "slice_by_size takes 3 from 1 of an axis of 3",
        ),
        ("split", {"axis": integer(0)}, "split does not say into how many parts"),
        (
            "split",
            {"axis": integer(0), "split_sizes": integers(2, 3)},
            "split into [2, 3] of an axis of 4",
        ),
        (
            "split",
            {"axis": integer(0), "split_sizes": integers(2, 2), "num_splits": integer(3)},
            "split into 3 parts, but of 2 sizes",
        ),
        ("split", {"axis": integer(0), "num_splits": integer(3)}, "split: array split does not"),
        ("split", {"axis": integer(0), "num_splits": integer(2)}, "declared 1 results, computed 2"),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, operands: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as refused:
        compute(kind, ("float32", (None, None)), x=Moving(_table()), **operands)
    assert str(refused.value).startswith(f"{PLACE}: {message}")


def test_concat_with_interleave_is_refused() -> None:
    values = (Moving(_table()), Moving(_table()))
    with pytest.raises(Refused, match="concat with interleave"):
        compute(
            "concat", ("float32", (8, 3)), values=values, axis=integer(0), interleave=truth(True)
        )


def test_parts_of_a_length_that_is_known_when_it_runs() -> None:
    """The way from a text's length to its positions: shape, slice, concat, slice."""
    table = constant(np.arange(10, dtype=np.float32).reshape(5, 2))
    for length in accumulate([1, 1, 1]):
        ids = Moving(np.zeros((1, length), np.int32))
        (shape,) = compute("shape", ("int32", (2,)), x=ids)
        (count,) = compute(
            "slice_by_index", ("int32", (1,)), x=Moving(shape), begin=integers(1), end=integers(2)
        )
        (end,) = compute(
            "concat", ("int32", (2,)), values=(Moving(count), integers(2)), axis=integer(0)
        )
        (rows,) = compute(
            "slice_by_index",
            ("float32", (None, 2)),
            x=table,
            begin=integers(0, 0),
            end=Moving(end),
        )
        np.testing.assert_array_equal(rows, table.values()[:length])
