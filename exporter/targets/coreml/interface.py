"""What a package takes and gives: to the gate, which sees sessions, and to an app."""

from collections.abc import Mapping

from exporter.targets.base import TensorSpec
from exporter.targets.coreml.interpreter import Feature, Package
from exporter.targets.coreml.session import output_names

Specs = tuple[TensorSpec, ...]

#: The oldest systems, by the version of the package's format (coremltools: AvailableTarget).
_SYSTEMS = {8: "iOS 17, macOS 14", 9: "iOS 18, macOS 15"}

#: Of the package's metadata, what an app needs to make its inputs.
_OF_INPUTS = ("pad_token_id", "mask_convention")


def signature(package: Package) -> tuple[Specs, Specs]:
    """Inputs and outputs of a session, which takes every length, up to the longest.

    Of a classifier the logits: its label and probabilities are no tensors.
    """
    program = package.program
    task = package.description.user_defined.get("task", "")
    results = {result.name: result for o in program.operations for result in o.results}
    by_token = task != "sequence-classification"
    return (
        tuple(TensorSpec(v.name, v.dtype, (1, "sequence")) for v in program.inputs),
        tuple(
            TensorSpec(name, results[name].dtype, _hidden(results[name].shape, by_token))
            for name in output_names(task)
            if name in program.outputs
        ),
    )


def declared(package: Package) -> tuple[Specs, Specs]:
    """Inputs and outputs as Core ML shows them: all outputs, and the lengths of texts."""
    description, program = package.description, package.program
    tokens = _tokens(description.inputs[0])
    shapes = {result.name: result.shape for o in program.operations for result in o.results}

    def output(feature: Feature) -> TensorSpec:
        if feature.dtype == "string":
            return TensorSpec(feature.name, feature.dtype, ())
        if feature.dtype == "dictionary":
            return TensorSpec(feature.name, feature.dtype, (len(description.class_labels),))
        shape = tuple(tokens if size is None else size for size in shapes[feature.name])
        return TensorSpec(feature.name, feature.dtype, shape)

    inputs = (TensorSpec(f.name, f.dtype, (f.shape[0], _tokens(f))) for f in description.inputs)
    return tuple(inputs), tuple(map(output, description.outputs))


def facts(package: Package) -> Mapping[str, str]:
    """The oldest ``system``, and what padding is made of."""
    said, version = package.description.user_defined, package.description.specification_version
    found = {"system": _SYSTEMS[version]} if version in _SYSTEMS else {}
    return {**found, **{name: said[name] for name in _OF_INPUTS if name in said}}


def _tokens(feature: Feature) -> int | str:
    """The numbers of tokens that an input takes."""
    if feature.enumerated:
        return "/".join(map(str, sorted(shape[1] for shape in feature.enumerated)))
    if feature.ranges:
        low, high = feature.ranges[1]
        return f"{low}..{'any' if high is None else high}"
    return feature.shape[1]


def _hidden(shape: tuple[int | None, ...], by_token: bool) -> tuple[int | str, ...]:
    sizes: list[int | str] = ["sequence" if size is None else size for size in shape]
    if by_token and len(sizes) > 1:
        sizes[1] = "sequence"  # also where it is fixed: the session cuts the padding off
    return tuple(sizes)
