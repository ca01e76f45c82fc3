"""Reads .pte files from the bytes on disk, without the runtime and without loading weights.

What is verified about an artifact rests on this, so it is strict: what it does not understand it
refuses. It knows the format, and nothing of how this project lowers models.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import REBUILD, UserError
from exporter.targets.executorch.constant import ConstantReference, byte_count, known
from exporter.targets.executorch.container import Container, element, open_container
from exporter.targets.executorch.flatbuffer import Damaged, Record
from exporter.targets.executorch.xnnpack_graph import NO_VALUE, XnnpackGraph, parse_graph

XNNPACK = "XnnpackBackend"
#: ScalarType of the format, where numpy's name is another one.
_DTYPES = {
    "BYTE": "uint8",
    "CHAR": "int8",
    "SHORT": "int16",
    "INT": "int32",
    "LONG": "int64",
    "HALF": "float16",
    "FLOAT": "float32",
    "DOUBLE": "float64",
}
#: Location and device of tensors in the file.
_HERE = (("SEGMENT", "CPU"), (None, None))
_SCALARS = {
    "Int": ("int", "int_val"),
    "Double": ("float", "double_val"),
    "Bool": ("bool", "bool_val"),
    "String": ("str", "string_val"),
}


@dataclass(frozen=True)
class Activation:
    """A value that is given or computed at run time; equal ids are the same value of a method.

    ``dtype`` is numpy's name, or "int", "float", "bool" or "str" for a scalar (without sizes).
    ``dynamism`` is "static", "dynamic_bound" (``sizes`` are upper bounds) or "dynamic_unbound".
    ``memory`` is the arena and the offset in bytes where it is planned to lie (None: nowhere).
    ``initial`` is what a scalar is before anything has been written to it.
    """

    id: int
    dtype: str
    sizes: tuple[int, ...] = ()
    dynamism: str = "static"
    dim_order: tuple[int, ...] = ()
    memory: tuple[int, int] | None = None
    initial: int | float | str | None = None


Argument = None | bool | int | float | str | tuple["Argument", ...] | Activation | ConstantReference


@dataclass(frozen=True)
class KernelCall:
    """An operator with its overload, such as "aten::add.out"; what it writes comes last."""

    operator: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class DelegateCall:
    """A part of the model that a backend runs. ``compile_specs`` are keys and values.

    For XNNPACK ``graph`` is parsed: external ids are positions in ``arguments``. For others
    ``blob`` is all that is known.
    """

    backend: str
    arguments: tuple[Argument, ...]
    compile_specs: tuple[tuple[str, bytes], ...]
    graph: XnnpackGraph | None
    blob: ConstantReference

    @property
    def inputs(self) -> tuple[Argument, ...]:
        """What the XNNPACK graph reads, in the order of its inputs; () for other backends."""
        return self._externals(() if self.graph is None else self.graph.inputs)

    @property
    def outputs(self) -> tuple[Argument, ...]:
        """What the XNNPACK graph writes, in the order of its outputs; () for other backends."""
        return self._externals(() if self.graph is None else self.graph.outputs)

    def _externals(self, ids: tuple[int, ...]) -> tuple[Argument, ...]:
        values = {} if self.graph is None else self.graph.values
        return tuple(self.arguments[values[id].external_id] for id in ids)


@dataclass(frozen=True)
class OtherCall:
    """An instruction of the runtime itself: "MoveCall", "JumpFalseCall" or "FreeCall".

    A jump's arguments are the condition and the index of the instruction.
    """

    kind: str
    arguments: tuple[Argument, ...]


Call = KernelCall | DelegateCall | OtherCall


@dataclass(frozen=True)
class Method:
    """``calls`` in the order of execution; ``arenas`` are sizes in bytes of the planned memory."""

    name: str
    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    calls: tuple[Call, ...]
    arenas: tuple[int, ...]

    @property
    def is_constant(self) -> bool:
        """Whether it computes nothing: it has one output, which is a constant."""
        if self.inputs or self.calls or len(self.outputs) != 1:
            return False
        return not isinstance(self.outputs[0], Activation)


@dataclass(frozen=True)
class Program:
    """The methods by name, in the order of the file."""

    methods: Mapping[str, Method]

    def constants(self) -> dict[str, Argument]:
        """The values of the constant methods."""
        return {name: m.outputs[0] for name, m in self.methods.items() if m.is_constant}


def read_program(path: Path) -> Program:
    """Everything but the constants' content, which stays on disk until it is asked for.

    The file stays mapped as long as a constant of it is referred to; write a new one and rename
    it, never over it. Raises UserError with the cause.
    """
    try:
        return _program(open_container(path))
    except (Damaged, OSError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"{path} cannot be read as an ExecuTorch program: {cause}.",
            REBUILD,
        ) from error


def _program(container: Container) -> Program:
    methods: dict[str, Method] = {}
    delegates = _Delegates(container)
    for plan in container.program["execution_plan"]:
        if plan["name"] in methods:
            raise Damaged("two of its methods have the same name")
        methods[plan["name"]] = _MethodReader(container, plan, delegates).read()
    if not methods:
        raise Damaged("it has no methods")
    return Program(methods)


class _Delegates:
    """The delegates' data of one file; what methods share is parsed once."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._graphs: dict[tuple[str, int], XnnpackGraph] = {}

    def call(self, delegate: Record, arguments: tuple[Argument, ...]) -> DelegateCall:
        place = delegate["processed"]
        if place is None:
            raise Damaged("a delegate has no data")
        if place["location"] == "SEGMENT":
            blob = element(self._container.segments, place["index"], "segment")
        else:
            inline = self._container.program["backend_delegate_data"]
            blob = memoryview(element(inline, place["index"], "delegate data")["data"])
        graph = None
        if delegate["id"] == XNNPACK:
            key = place["location"], place["index"]
            if key not in self._graphs:
                self._graphs[key] = parse_graph(blob, self._container.named_data)
            graph = self._graphs[key]
            external = (value.external_id for value in graph.values.values())
            if any(id >= len(arguments) for id in external if id != NO_VALUE):
                raise Damaged("a delegate's graph has more inputs and outputs than its call")
        specs = tuple((spec["key"], bytes(spec["value"])) for spec in delegate["compile_specs"])
        reference = ConstantReference("uint8", (len(blob),), (0,), blob)
        return DelegateCall(delegate["id"], arguments, specs, graph, reference)


class _MethodReader:
    """Resolves the indices in one execution plan."""

    def __init__(self, container: Container, plan: Record, delegates: _Delegates) -> None:
        self._container = container
        self._plan = plan
        self._delegates = delegates
        chains = plan["chains"]
        if len(chains) > 1:
            raise Damaged("a method has several chains, which this reader does not know")
        self._instructions: tuple[tuple[str, Record], ...] = tuple(
            instruction["instr_args"] for chain in chains for instruction in chain["instructions"]
        )
        self._written = self._written_values()

    def read(self) -> Method:
        return Method(
            self._plan["name"],
            self._arguments(self._plan["inputs"]),
            self._arguments(self._plan["outputs"]),
            tuple(self._call(*instruction) for instruction in self._instructions),
            self._plan["non_const_buffer_sizes"][1:],  # the first stands for the constants
        )

    def _written_values(self) -> set[int]:
        """Indices whose scalars may change at run time. A kernel returns its last argument."""
        written = set(self._plan["inputs"])
        for kind, fields in self._instructions:
            if kind == "KernelCall":
                written.update(fields["args"][-1:])
            elif kind == "DelegateCall":
                written.update(fields["args"])
            elif kind == "MoveCall":
                written.add(fields["move_to"])
        return written

    def _call(self, kind: str, fields: Record) -> Call:
        if kind == "KernelCall":
            operator = element(self._plan["operators"], fields["op_index"], "operator")
            name = ".".join(filter(None, (operator["name"], operator["overload"])))
            return KernelCall(name, self._arguments(fields["args"]))
        if kind == "DelegateCall":
            delegate = element(self._plan["delegates"], fields["delegate_index"], "delegate")
            return self._delegates.call(delegate, self._arguments(fields["args"]))
        if kind == "MoveCall":
            return OtherCall(kind, self._arguments((fields["move_from"], fields["move_to"])))
        if kind == "JumpFalseCall":
            condition, target = fields["cond_value_index"], fields["destination_instruction"]
            if not 0 <= target <= len(self._instructions):
                raise Damaged("a jump leads out of its method")
            return OtherCall(kind, (self._argument(condition), target))
        if kind == "FreeCall":
            return OtherCall(kind, self._arguments((fields["value_index"],)))
        raise Damaged("an instruction has no kind")

    def _arguments(self, indices: tuple[int, ...]) -> tuple[Argument, ...]:
        return tuple(self._argument(index) for index in indices)

    def _argument(self, index: int, inside: str = "") -> Argument:
        """The value at ``index``; ``inside`` names the list that it is an element of."""
        kind, fields = element(self._plan["values"], index, "value")["val"]
        if inside and kind not in {"IntList": ("Int",)}.get(inside, ("Tensor", "Null")):
            raise Damaged(f"a list of type {inside} has an element of type {kind}")
        if kind in _SCALARS:
            dtype, field = _SCALARS[kind]
            scalar: int | float | str = fields[field]
            return Activation(index, dtype, initial=scalar) if index in self._written else scalar
        if kind == "Tensor":
            return self._tensor(index, fields)
        if kind in ("IntList", "TensorList"):
            return tuple(self._argument(item, kind) for item in fields["items"])
        if kind == "OptionalTensorList":
            return tuple(None if i == -1 else self._argument(i, kind) for i in fields["items"])
        if kind in ("DoubleList", "BoolList"):
            return tuple(fields["items"])
        if kind == "Null":
            return None
        raise Damaged("a value has no kind")

    def _tensor(self, index: int, tensor: Record) -> Activation | ConstantReference:
        sizes, dim_order = tensor["sizes"], tuple(tensor["dim_order"])
        extra = tensor["extra_tensor_info"] or {}
        if min(sizes, default=0) < 0 or sorted(dim_order) != list(range(len(sizes))):
            raise Damaged("a tensor has no valid shape")
        outside = (extra.get("location"), extra.get("device_type")) not in _HERE
        if tensor["storage_offset"] or tensor["layout"] or outside:
            raise Damaged("a tensor lies where this reader does not look for it")
        dtype = _DTYPES.get(tensor["scalar_type"], tensor["scalar_type"].lower())
        dynamism = tensor["shape_dynamism"].lower()
        buffer, plan = tensor["data_buffer_idx"], tensor["allocation_info"]
        if plan is None and buffer:
            if dynamism != "static" or not known(dtype):
                raise Damaged(f"a constant has a dynamic shape, or the type {dtype}")
            content = self._container.constant(buffer, byte_count(dtype, sizes))
            return ConstantReference(dtype, sizes, dim_order, content)
        if buffer:
            raise Damaged("a tensor keeps its value between runs, which cannot be verified")
        memory = None
        if plan is not None:
            offset = plan["memory_offset_low"] | plan["memory_offset_high"] << 32
            memory = plan["memory_id"], offset
        return Activation(index, dtype, sizes, dynamism, dim_order, memory)
