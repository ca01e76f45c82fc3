"""Small packages written by coremltools from programs made by hand, and changes to them."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exporter.quiet import apart
from exporter.targets.base import Array

MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"

#: From coremltools' Builder and the input ``x`` to the outputs.
Build = Callable[[Any, Any], Any]


def write_package(
    path: Path,
    build: Build,
    deployment: str = "iOS18",
    x: Any = (1, 4),
    labels: Sequence[str] = (),
) -> Path:
    """The package of a program with one int32 input, of the shape ``x`` as coremltools takes it.

    With ``labels`` the first output is the probabilities.
    """
    with apart():
        import coremltools
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.mil import get_new_symbol, types

        Builder.name_count.clear()  # else a constant's name would count what was written before
        target = getattr(coremltools.target, deployment)
        size = x if isinstance(x, tuple) else (1, get_new_symbol())

        def function(x: Any) -> Any:
            return build(Builder, x)

        specs = [Builder.TensorSpec(size, dtype=types.int32)]
        program = Builder.program(input_specs=specs, opset_version=target)(function)
        given = coremltools.TensorType("x", shape=x, dtype=np.int32)
        program.functions["main"].input_types = [given]
        model = coremltools.convert(
            program,
            convert_to="mlprogram",
            source="milinternal",
            minimum_deployment_target=target,
            pass_pipeline=coremltools.PassPipeline.EMPTY,
            skip_model_load=True,
            classifier_config=coremltools.ClassifierConfig(list(labels)) if labels else None,
        )
        model.author, model.license, model.version = "somebody", "a licence", "3"
        model.short_description = "what it is"
        model.user_defined_metadata["pad"] = "0"
        model.save(str(path))
    return path


LABELS = ("no", "yes", "maybe")


def write_classifier(folder: Path) -> Path:
    """Rows of a table, a product, LayerNorm, the mean of all rows; lengths 4 and 8."""
    generator = np.random.default_rng(0)

    def halves(*shape: int) -> Array:
        return generator.standard_normal(shape).astype(np.float16)

    def build(mb: Any, x: Any) -> Any:
        levels = generator.integers(-8, 8, (16, 16)).astype(np.int8)
        weight = mb.constexpr_blockwise_shift_scale(data=levels, scale=halves(16, 2), name="w")
        rows = mb.gather(x=halves(12, 16), indices=x, axis=0, validate_indices=False, name="rows")
        hidden = mb.linear(x=rows, weight=weight, bias=halves(16), name="hidden")
        norm = mb.layer_norm(
            x=hidden,
            axes=[-1],
            gamma=halves(16),
            beta=halves(16),
            epsilon=np.float16(1e-3),
            name="norm",
        )
        mean = mb.reduce_mean(x=norm, axes=[1], keep_dims=False, name="mean")
        scores = mb.linear(x=mean, weight=halves(3, 16), name="scores")
        logits = mb.cast(x=scores, dtype="fp32", name="logits")
        return mb.softmax(x=logits, axis=-1, name="probabilities"), logits

    with apart():
        from coremltools import EnumeratedShapes

    shapes = EnumeratedShapes([(1, 4), (1, 8)], default=(1, 8))
    return write_package(folder / "a.mlpackage", build, x=shapes, labels=LABELS)


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
