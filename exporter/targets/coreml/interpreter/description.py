"""What a package says of itself: inputs, outputs, labels and metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.targets.coreml.interpreter.errors import Unreadable
from exporter.targets.coreml.interpreter.program import Program, Result, Shape

_DTYPES = {
    65568: "float32",
    65600: "float64",
    131104: "int32",
    131080: "int8",
    65552: "float16",
}


#: The first version of the format in which several inputs may have enumerated shapes (iOS 18).
_SEVERAL_ENUMERATED = 9


@dataclass(frozen=True)
class Feature:
    """An input or output.

    ``dtype`` is numpy's name, or "string" (the label) or "dictionary" (labels' probabilities).
    ``shape`` is the default of an input, or what is declared of an output (() where nothing is).
    ``enumerated`` are all shapes that an input takes, ``ranges`` the smallest and largest size of
    every axis (None: no limit); where both are empty, it takes ``shape`` alone.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    enumerated: tuple[tuple[int, ...], ...] = ()
    ranges: tuple[tuple[int, int | None], ...] = ()
    text: str = ""

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an input may have this shape."""
        if self.enumerated:
            return shape in self.enumerated
        if not self.ranges:
            return shape == self.shape
        return len(shape) == len(self.ranges) and all(
            low <= size and (high is None or size <= high)
            for size, (low, high) in zip(shape, self.ranges, strict=True)
        )

    def shapes(self) -> str:
        """The shapes that an input takes, in words."""
        if self.enumerated:
            return " or ".join(map(str, sorted(self.enumerated)))
        if not self.ranges:
            return str(self.shape)
        axes = (
            f"{low}" if low == high else f"{low} to {high or 'any'}" for low, high in self.ranges
        )
        return f"({', '.join(axes)})"


@dataclass(frozen=True)
class Description:
    """``class_labels`` are a classifier's labels, in the order of its probabilities; else ().

    ``predicted`` are the names of its two outputs: the label, and the labels' probabilities.
    """

    specification_version: int
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    user_defined: Mapping[str, str]
    author: str
    license: str
    version: str
    short_description: str
    class_labels: tuple[str, ...] = ()
    predicted: tuple[str, ...] = ()


def read_description(model: Any, program: Program) -> Description:
    """The description of a ``Model`` message, proved to fit ``program``. Raises Unreadable."""
    described = model.description
    if described.state or described.trainingInput or described.defaultFunctionName:
        raise Unreadable("its model has states, training inputs or several functions")
    inputs = tuple(_feature(entry) for entry in described.input)
    outputs = tuple(_feature(entry) for entry in described.output)
    _compare("inputs", inputs, program.inputs)
    results = {
        result.name: result for operation in program.operations for result in operation.results
    }
    _compare("outputs", outputs, tuple(results[name] for name in program.outputs))
    for feature, declared in zip(inputs, program.inputs, strict=True):
        _check_shapes(feature, declared.shape)
    flexible = sum(bool(feature.enumerated) for feature in inputs)
    if flexible > 1 and model.specificationVersion < _SEVERAL_ENUMERATED:
        raise Unreadable("several of its inputs have enumerated shapes, which came with iOS 18")
    metadata = described.metadata
    labels, predicted = _classifier(described, program)
    return Description(
        specification_version=model.specificationVersion,
        inputs=inputs,
        outputs=outputs,
        user_defined=dict(metadata.userDefined),
        author=metadata.author,
        license=metadata.license,
        version=metadata.versionString,
        short_description=metadata.shortDescription,
        class_labels=labels,
        predicted=predicted,
    )


def _feature(entry: Any) -> Feature:
    kind = entry.type.WhichOneof("Type")
    if entry.type.isOptional:
        raise Unreadable(f"{entry.name} of its model is optional")
    if kind == "stringType":
        return Feature(entry.name, "string", (), text=entry.shortDescription)
    if kind == "dictionaryType" and entry.type.dictionaryType.HasField("stringKeyType"):
        return Feature(entry.name, "dictionary", (), text=entry.shortDescription)
    array = entry.type.multiArrayType
    if kind != "multiArrayType" or array.dataType not in _DTYPES:
        raise Unreadable(f"{entry.name} of its model has a type that is not understood")
    if array.WhichOneof("defaultOptionalValue") is not None:
        raise Unreadable(f"{entry.name} of its model has a default value")
    return Feature(
        entry.name,
        _DTYPES[array.dataType],
        tuple(array.shape),
        tuple(tuple(shape.shape) for shape in array.enumeratedShapes.shapes),
        tuple(_range(axis) for axis in array.shapeRange.sizeRanges),
        entry.shortDescription,
    )


def _range(axis: Any) -> tuple[int, int | None]:
    """An upper bound below 0 means none."""
    return int(axis.lowerBound), int(axis.upperBound) if axis.upperBound >= 0 else None


def _compare(kind: str, features: tuple[Feature, ...], declared: tuple[Result, ...]) -> None:
    described = [(feature.name, feature.dtype) for feature in features]
    computed = [(result.name, result.dtype) for result in declared]
    if described != computed:
        raise Unreadable(
            f"the {kind} of its model are {described}, those of its program {computed}"
        )


def _check_shapes(feature: Feature, declared: Shape) -> None:
    """Every shape that the input takes has to be one that the program declares."""
    lowest = tuple(low for low, _ in feature.ranges)
    highest = tuple(high for _, high in feature.ranges)
    shapes: list[Shape] = [feature.shape, *feature.enumerated]
    if feature.ranges:
        shapes += [lowest, highest]
    fits = all(
        len(shape) == len(declared)
        and all(wanted in (None, size) for size, wanted in zip(shape, declared, strict=True))
        for shape in shapes
    )
    if not fits or not feature.takes(feature.shape):
        raise Unreadable(
            f"the shapes of the input {feature.name} are not those of its program, {declared}"
        )


def _classifier(described: Any, program: Program) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels, and the names of the outputs that are made of them."""
    predicted = (described.predictedFeatureName, described.predictedProbabilitiesName)
    found = [operation for operation in program.operations if operation.kind == "classify"]
    if not any(predicted) and not found:
        return (), ()
    if len(found) != 1 or tuple(result.name for result in found[0].results) != predicted:
        raise Unreadable("its model and its program do not predict the same")
    labels = found[0].operands.get("classes", ())
    if not isinstance(labels, tuple) or not all(isinstance(label, str) for label in labels):
        raise Unreadable("the labels of its classifier are no texts")
    return tuple(str(label) for label in labels), predicted
