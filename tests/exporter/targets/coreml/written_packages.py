"""Small packages written by coremltools from programs made by hand, and changes to them."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exporter.quiet import apart
from exporter.targets.base import Array

MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"

#: From coremltools' Builder and the inputs by name to the outputs.
Build = Callable[..., Any]


def write_package(
    path: Path,
    build: Build,
    deployment: str = "iOS18",
    inputs: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
) -> Path:
    """The package of ``build(mb, x=..., ...)``; ``inputs`` are shapes as coremltools takes them.

    With ``labels`` the first output is the probabilities.
    """
    with apart():
        import coremltools
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.mil import get_new_symbol, types

        given = inputs or {"x": (1, 4)}
        target = getattr(coremltools.target, deployment)

        def size(shape: Any) -> tuple[Any, ...]:
            return shape if isinstance(shape, tuple) else (1, get_new_symbol())

        specs = [Builder.TensorSpec(size(shape), dtype=types.int32) for shape in given.values()]
        names = ", ".join(given)
        # The builder takes the names of the inputs from the function's parameters.
        function = eval(  # noqa: S307
            f"lambda {names}: build(mb, {names})", {"build": build, "mb": Builder}
        )
        program = Builder.program(input_specs=specs, opset_version=target)(function)
        program.functions["main"].input_types = [
            coremltools.TensorType(name, shape=shape, dtype=np.int32)
            for name, shape in given.items()
        ]
        classes = coremltools.ClassifierConfig(list(labels)) if labels else None
        model = coremltools.convert(
            program,
            convert_to="mlprogram",
            source="milinternal",
            minimum_deployment_target=target,
            pass_pipeline=coremltools.PassPipeline.EMPTY,
            skip_model_load=True,
            classifier_config=classes,
        )
        model.author, model.license, model.version = "somebody", "a licence", "3"
        model.short_description = "what it is"
        model.user_defined_metadata["pad"] = "0"
        model.save(str(path))
    return path


def small_type(values: Array, dtype: str) -> Array:
    """The values in one of coremltools' types of less than a byte."""
    with apart():
        from coremltools.converters.mil.mil import types

    found: Array = values.astype(getattr(types, f"np_{dtype}_dtype"))
    return found


def with_file(path: Path, folder: Path, name: str, content: bytes) -> Path:
    """A copy of the package in ``folder`` in which one file is another."""
    copy = folder / path.name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    (copy / name).write_bytes(content)
    return copy


def with_model(path: Path, folder: Path, change: Callable[[Any], None]) -> Path:
    """A copy of the package whose ``Model`` message ``change`` changed."""
    from exporter.targets.coreml.interpreter.formats import parse_model

    model = parse_model((path / MODEL).read_bytes())
    change(model)
    return with_file(path, folder, MODEL, model.SerializeToString())


def with_operation(path: Path, folder: Path, name: str, change: Callable[[Any], None]) -> Path:
    """A copy of the package in which the operation that computes ``name`` was changed."""

    def changed(model: Any) -> None:
        change(operation(model, name))

    return with_model(path, folder, changed)


def block(model: Any) -> Any:
    """The one block of a ``Model`` message."""
    function = model.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def operation(model: Any, name: str) -> Any:
    """The operation that computes the value ``name``."""
    (found,) = [o for o in block(model).operations if name in [r.name for r in o.outputs]]
    return found
