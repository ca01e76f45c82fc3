"""The program of the Core ML package in a delegate's data, in the form common to such backends."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter import (
    Constant,
    Feature,
    Operand,
    Package,
    Reference,
)
from exporter.targets.coreml.interpreter.errors import Refused, Unreadable
from exporter.targets.coreml.interpreter.executor import Executor
from exporter.targets.coreml.interpreter.package import read_package
from exporter.targets.coreml.interpreter.program import Shape
from exporter.targets.executorch.backends import graph
from exporter.targets.executorch.backends.coreml.package import DelegateFiles, read_files
from exporter.targets.executorch.constant import ConstantReference, known
from exporter.targets.executorch.flatbuffer import Damaged


def parse(blob: memoryview, named_data: Mapping[str, memoryview]) -> graph.DelegateGraph:
    """See ``exporter.targets.executorch.backends.graph.Dialect``."""
    del named_data
    files = read_files(blob)
    try:
        package = read_package(bytes(files.model), files.weights, "")
    except Unreadable as error:
        raise Damaged(f"a Core ML package is damaged: {error}") from error
    described = package.description
    features = {feature.name: feature for feature in (*described.inputs, *described.outputs)}
    if {*files.inputs} != {feature.name for feature in described.inputs}:
        raise Damaged("the inputs of a Core ML program are not those of its package")
    if {*files.outputs} != set(package.program.outputs):
        raise Damaged("the outputs of a Core ML program are not those of its package")
    outputs = [(features[name].shape, features[name].dtype) for name in files.outputs]
    settings = (described.specification_version, package.program.opset, tuple(outputs))
    return _graph(package, files, features, settings)


def prepare(given: graph.DelegateGraph) -> graph.Evaluate:
    """See ``exporter.targets.executorch.backends.graph.Dialect``."""
    package = given.source
    assert isinstance(package, Package)
    features = {feature.name: feature for feature in package.description.inputs}
    try:
        executor = Executor(package.program)
    except Refused as error:
        raise graph.Unknown(str(error)) from error

    def evaluate(inputs: Sequence[Array], kept: Collection[str]) -> dict[str, Array]:
        values = {
            declared.name: _converted(features[declared.name], array)
            for declared, array in zip(given.inputs, inputs, strict=True)
        }
        try:
            return executor.run(values, kept)
        except Refused as error:
            raise graph.Unknown(str(error)) from error

    return evaluate


def _converted(feature: Feature, array: Array) -> Array:
    """The array in the type that the package takes, which has all of its values."""
    converted: Array = array.astype(feature.dtype)
    if not feature.takes(array.shape) or not np.array_equal(converted, array):
        raise graph.Unknown(f"it takes {feature.name} as {feature.dtype} {feature.shapes()}")
    return converted


def _graph(
    package: Package,
    files: DelegateFiles,
    features: Mapping[str, Feature],
    settings: tuple[object, ...],
) -> graph.DelegateGraph:
    constants: dict[Constant, ConstantReference] = {}

    def operand(value: Operand) -> graph.Operand:
        if isinstance(value, tuple):
            return tuple(operand(item) for item in value)
        if isinstance(value, Reference):
            return graph.Reference(value.name)
        if not isinstance(value, Constant):
            return value
        if not known(value.dtype):
            raise Damaged(f"a constant of a Core ML program is {value.dtype}")
        order = tuple(range(len(value.shape)))
        reference = ConstantReference(value.dtype, value.shape, order, value.content)
        return constants.setdefault(value, reference)

    operators = tuple(
        graph.Operator(
            operation.kind,
            {name: operand(value) for name, value in operation.operands.items()},
            tuple(
                graph.Result(result.name, result.dtype, _limits(result.shape))
                for result in operation.results
            ),
        )
        for operation in package.program.operations
    )
    inputs = tuple(
        graph.Result(
            name, features[name].dtype, features[name].ranges or _limits(features[name].shape)
        )
        for name in files.inputs
    )
    return graph.DelegateGraph(inputs, operators, files.outputs, settings, package)


def _limits(shape: Shape) -> tuple[tuple[int, int | None], ...]:
    return tuple((1, None) if size is None else (size, size) for size in shape)
