"""An ML program as plain data: what a package computes, operation by operation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter.bits import element_bits, unpack

Shape = tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor in the package. Two constants are equal only if they are the same object.

    ``name`` is its own, or its operation's and operand's where it has none. ``dtype`` is the
    element type as MIL calls it, in lower case (numpy's name, where numpy has the type: "float16",
    "int8", "int4", "uint6", ...). ``content`` is the tensor as stored, row-major: the file itself,
    mapped, for weights.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    content: memoryview = field(repr=False)

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """How many bits each element takes in the file."""
        return element_bits(self.dtype)

    def values(self) -> Array:
        """The elements in ``shape``, read-only where they are the file's own bytes.

        Elements of less than a byte come as int8 or uint8.
        """
        if self.bits < 8:
            return unpack(self.content, self.dtype, self.size).reshape(self.shape)
        stored = np.frombuffer(self.content, np.dtype(self.dtype).newbyteorder("<"))
        return stored.reshape(self.shape)


@dataclass(frozen=True)
class Reference:
    """A value that the caller gives or an earlier operation computes."""

    name: str


Operand = Constant | Reference | str | tuple["Operand", ...]


@dataclass(frozen=True)
class Result:
    """A value that is given or computed: its name, element type and shape (None: any size).

    A classifier's dictionary of probabilities has the element type "dictionary" and no axes.
    """

    name: str
    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Operation:
    """One step: its kind, operands by name, and what it computes.

    ``place`` says where it stands, for messages: "operation 17 of main (name)", counted from 0 as
    in the file, constants included.
    """

    kind: str
    operands: Mapping[str, Operand]
    results: tuple[Result, ...]
    place: str = ""


@dataclass(frozen=True)
class Program:
    """The one function of a package; constants are where they are read.

    ``opset`` is the version of the operators: "CoreML7" (iOS 17) or "CoreML8" (iOS 18).
    ``outputs`` are names of values.
    """

    opset: str
    inputs: tuple[Result, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]
