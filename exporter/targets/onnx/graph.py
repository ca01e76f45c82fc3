"""A small builder of ONNX graphs in which every node and tensor has a readable name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from exporter.targets.base import Array

CONTRIB = "com.microsoft"

#: Protocol buffers end at 2 GiB; the margin leaves room for the nodes.
EXTERNAL_DATA_BYTES = 2**31 - 2**24

#: The smallest that has everything used here and that runtimes of the last years read.
IR_VERSION = 10


class GraphBuilder:
    """Collects nodes and constants; the name of the current scope prefixes every node."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._scopes: list[str] = []
        self._used: dict[str, int] = {}
        self._splits: dict[tuple[str, int], list[str]] = {}
        self._made: dict[str, str] = {}
        self._contrib = False

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Nodes made inside are called ``.../name/...``."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def constant(self, name: str, values: Array | float) -> str:
        """A constant under its full ``name``, a number as fp32. A name is stored only once."""
        if name not in self._constants:
            array = np.asarray(values, order="C")
            array = array.astype(np.float32) if isinstance(values, float) else array
            self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def shape_constant(self, *values: int) -> str:
        """A one-dimensional int64 constant, shared by all who need the same values."""
        name = "shape/" + "_".join(str(value) for value in values)
        return self.constant(name, np.array(values, dtype=np.int64))

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        *,
        domain: str = "",
        name: str = "",
        output: str = "",
        **attributes: Any,
    ) -> str:
        """Add an operator with one output; returns the output's name.

        ``name`` replaces the operator's type as the last part of the node's name. ``output`` is
        the full name of the result, by default the node's.
        """
        path = self._unique("/".join([*self._scopes, name or operator]))
        return self._add(operator, inputs, [output or path], path, domain, attributes)[0]

    def split(self, tensor: str, parts: int) -> list[str]:
        """Cut the last axis into equal parts; the same cut is made only once."""
        if parts == 1:
            return [tensor]
        if (tensor, parts) not in self._splits:
            path = self._unique("/".join([*self._scopes, "Split"]))
            names = [f"{path}:{index}" for index in range(parts)]
            attributes = {"axis": -1, "num_outputs": parts}
            self._splits[tensor, parts] = self._add("Split", [tensor], names, path, "", attributes)
        return self._splits[tensor, parts]

    def concat(self, tensors: Sequence[str]) -> str:
        """Join along the last axis."""
        return tensors[0] if len(tensors) == 1 else self.node("Concat", tensors, axis=-1)

    def quantize(self, tensor: str) -> list[str]:
        """uint8 values, scale and zero point of the whole tensor, from its own range."""
        path = self._unique("/".join([*self._scopes, "DynamicQuantizeLinear"]))
        names = [f"{path}:{part}" for part in ("values", "scale", "zero_point")]
        return self._add("DynamicQuantizeLinear", [tensor], names, path, "", {})

    def once(self, key: str, make: Callable[[str], str]) -> str:
        """The tensor ``key``: made by ``make(key)`` at the first call, in a scope of that name."""
        if key not in self._made:
            scopes, self._scopes = self._scopes, [key]
            self._made[key] = make(key)
            self._scopes = scopes
        return self._made[key]

    def _add(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: list[str],
        path: str,
        domain: str,
        attributes: Mapping[str, Any],
    ) -> list[str]:
        self._contrib |= domain == CONTRIB
        self._nodes.append(
            helper.make_node(operator, inputs, outputs, name=path, domain=domain, **attributes)
        )
        return outputs

    def model(
        self,
        name: str,
        inputs: Sequence[tuple[str, int, Sequence[int | str]]],
        outputs: Sequence[tuple[str, int, Sequence[int | str]]],
        metadata: Mapping[str, str],
        producer_version: str,
    ) -> onnx.ModelProto:
        """The finished model. Inputs and outputs are (name, element type, shape)."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(*spec) for spec in inputs],
            [helper.make_tensor_value_info(*spec) for spec in outputs],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", self.opset)]
        if self._contrib:
            opsets.append(helper.make_opsetid(CONTRIB, 1))
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="squeezebert-mobile",
            producer_version=producer_version,
        )
        helper.set_model_props(model, dict(metadata))
        return model

    def _unique(self, path: str) -> str:
        count = self._used.get(path, 0)
        self._used[path] = count + 1
        return path if count == 0 else f"{path}.{count + 1}"


def save(model: onnx.ModelProto, path: Path, external_above: int = EXTERNAL_DATA_BYTES) -> None:
    """Write ``model``; its weights go to ``<name>.data`` beside it when it is too large."""
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)  # onnx would append to it
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > external_above:
        onnx.save_model(
            model,
            path,
            save_as_external_data=True,
            all_tensors_to_one_file=True,
            location=data.name,
        )
    else:
        onnx.save_model(model, path)


FLOAT = TensorProto.FLOAT
INT64 = TensorProto.INT64
INT32 = TensorProto.INT32
INT8 = TensorProto.INT8
