"""Small Core ML packages made by the lowering alone, and what is in them and comes out of them."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from exporter.model.config import SourceModel
from exporter.quantization.schemes import Scheme, find_scheme
from exporter.quiet import apart
from exporter.targets.base import INPUTS, Array
from exporter.targets.coreml.form import form
from exporter.targets.coreml.interpreter import Constant, Interpreter, Operation, open_package
from exporter.targets.coreml.lower import lower

#: The scheme of a precision, where it has another name.
SCHEMES = {"fp16": "fp16_compute", "int8": "int8_weights", "int4": "int4_weights"}


def scheme_of(precision: str) -> Scheme:
    return find_scheme(SCHEMES.get(precision, precision))


def lowered(
    model: SourceModel,
    folder: Path,
    precision: str = "fp16",
    flavour: str = "ranged_logits",
    scheme: Scheme | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """The package of ``model``; without ``scheme`` that of the precision."""
    path = folder / f"{flavour}_{precision}.mlpackage"
    found = scheme or scheme_of(precision)
    lower(model, precision, found, form(flavour, model.task), metadata or {}, path)
    return path


class Runner:
    """Runs batches, text by text and without padding: the package has to take their lengths."""

    def __init__(self, path: Path, layers: int) -> None:
        self._interpreter = Interpreter(open_package(path))
        self._taps = tuple(f"hidden_{index}" for index in range(layers + 1))

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name and hidden states as [B, T, H], from int64 [B, T]."""
        rows = []
        for row in range(len(inputs[INPUTS[0]])):
            given = {name: inputs[name][row : row + 1].astype(np.int32) for name in INPUTS}
            found = self._interpreter.run(given, taps=self._taps)
            rows.append({name.replace("_", "."): value for name, value in found.items()})
        names = [name for name in rows[0] if not name.startswith("classLabel")]
        return {_name(n): np.concatenate([_tokens(n, row[n]) for row in rows]) for n in names}


def _name(tapped: str) -> str:
    return tapped if tapped.startswith("hidden.") else tapped.replace(".", "_")


def _tokens(name: str, values: Any) -> Array:
    if name.startswith("hidden.") and values.ndim == 4:
        values = values[:, :, 0].transpose(0, 2, 1)
    found: Array = np.asarray(values, np.float32)
    return found


def operations(path: Path, kind: str) -> list[Operation]:
    """All operations of one kind, in order."""
    return [found for found in open_package(path).program.operations if found.kind == kind]


def constants(path: Path, names: Collection[str]) -> dict[str, Array]:
    """Constants, and values of compressed ones, by their canonical names."""
    package = open_package(path)
    found: dict[str, Array] = {}
    for operation in package.program.operations:
        for operand in operation.operands.values():
            if isinstance(operand, Constant):
                found[operand.name.replace("__", ".")] = operand.values()
    compressed = [
        result.name
        for operation in package.program.operations
        for result in operation.results
        if operation.kind.startswith("constexpr_")
    ]
    shape = next(iter(package.description.inputs)).shape
    inputs = {name: np.zeros(shape, np.int32) for name in INPUTS}
    values = Interpreter(package).run(inputs, taps=compressed)
    found |= {name.replace("__", "."): values[name] for name in compressed}
    return {name: found[name] for name in names}


def read_model(path: Path) -> Any:
    """The protobuf of a package, as coremltools defines it."""
    with apart():
        from coremltools.proto import Model_pb2

    model = Model_pb2.Model()
    model.ParseFromString((path / "Data/com.apple.CoreML/model.mlmodel").read_bytes())
    return model


def program_operations(path: Path) -> list[Any]:
    """The operations of a package's program, constants among them, as protobufs."""
    function = read_model(path).mlProgram.functions["main"]
    return list(function.block_specializations[function.opset].operations)


def weight_bytes(path: Path) -> int:
    return (path / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size
