"""From a model to a program of Core ML, and from that to its protobuf and weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
from coremltools.converters.mil import Builder
from coremltools.converters.mil.backend.mil.load import load
from coremltools.converters.mil.mil import Function, Program, get_new_symbol, types

from exporter.errors import UserError
from exporter.model.config import SourceModel
from exporter.quantization.schemes import Scheme, fp16_compute
from exporter.targets.base import INPUTS
from exporter.targets.coreml.form import Deployment, Form
from exporter.targets.coreml.layers import Lowering, lower_model
from exporter.targets.coreml.layout import Layout
from exporter.targets.coreml.neural_engine import NeuralEngineLayout
from exporter.targets.coreml.sequence import SequenceLayout
from exporter.targets.coreml.weights import Weights

#: Swallows every score (fp32 has 7 digits), so that a row without any token gets uniform attention,
#: as in PyTorch.
_MASKED = -1e30
#: The number of tokens that tools show and try first, where the package takes as many.
_DEFAULT_LENGTH = 128
#: In what coremltools says when the disk refuses its weights; it does not say why.
_NOT_WRITTEN = "FileWriter"
_FUNCTION, _PROBABILITIES = "main", "probabilities"


def translate(
    model: SourceModel,
    scheme: Scheme,
    form: Form,
    deployment: Deployment,
    weights_folder: Path,
) -> Any:
    """The protobuf ``Model`` of ``model``; its weights are in ``weights_folder``/weight.bin.

    The program is written as it is built. coremltools' own passes would merge equal weights (all
    zero biases, say) and fold operators into constants, so that weights lose their names.
    """
    # Names of constants without one of their own are counted over the life of the process.
    Builder.name_count.clear()
    program = _program(model, scheme, form, deployment)
    classes = None
    if form.output == "classifier":
        classes = coremltools.ClassifierConfig(
            list(model.labels or ()), predicted_probabilities_output=_PROBABILITIES
        )
    try:
        return load(
            program,
            str(weights_folder),
            specification_version=getattr(coremltools.target, deployment).value,
            classifier_config=classes,
            convert_to="mlprogram",
            convert_from="milinternal",
        )
    except RuntimeError as error:
        if _NOT_WRITTEN not in str(error):
            raise
        raise UserError(
            "The weights cannot be written to the disk.",
            "Free some space or choose another folder, then run the same command again.",
        ) from error


def _program(
    model: SourceModel,
    scheme: Scheme,
    form: Form,
    deployment: Deployment,
) -> Program:
    target = getattr(coremltools.target, deployment)
    shape = _shape(form, model)
    fixed = isinstance(shape, tuple)
    size = shape[1] if fixed else get_new_symbol()
    placeholders = {name: Builder.placeholder((1, size), dtype=types.int32) for name in INPUTS}
    with Function(placeholders, target) as function:
        lowering = _lowering(model, scheme, form, deployment, size if fixed else 0)
        outputs = list(lower_model(lowering, function.inputs).values())
        if form.output == "classifier":
            outputs = [Builder.softmax(x=outputs[0], axis=-1, name=_PROBABILITIES), *outputs]
        function.set_outputs(outputs)
    function.set_input_types(
        tuple(coremltools.TensorType(name, shape=shape, dtype=np.int32) for name in INPUTS)
    )
    program = Program()
    program.add_function(_FUNCTION, function)
    return program


def _lowering(
    model: SourceModel,
    scheme: Scheme,
    form: Form,
    deployment: Deployment,
    longest: int,
) -> Lowering:
    half = scheme.name != "fp32"
    stored = scheme.round_weights(model)
    if half:
        # The epsilons alone: compression takes the weights as they are.
        rounded = fp16_compute.round_weights(replace(stored, weights={}))
        stored = replace(rounded, weights=stored.weights)
    dtype = np.float16 if half else np.float32
    weights = Weights(stored.weights, dtype, scheme.compress, deployment)
    config = stored.config
    layout: Layout = (
        NeuralEngineLayout(weights, config.heads)
        if form.layout == "neural_engine"
        else SequenceLayout(weights, config.heads)
    )
    ranges = model.ranges if scheme.static_activations else {}
    masked = fp16_compute.MASKED if half else _MASKED
    return Lowering(config, model.task, weights, layout, ranges, masked, longest)


def _shape(form: Form, model: SourceModel) -> Any:
    """The shape of every input: of fixed size (a tuple), enumerated, or with a range."""
    lengths = form.takes(model.config)
    longest = lengths[-1]
    default = max((n for n in lengths if n <= _DEFAULT_LENGTH), default=lengths[0])
    if form.lengths == "ranged" and longest > 1:
        default = min(longest, _DEFAULT_LENGTH)
        tokens = coremltools.RangeDim(lower_bound=1, upper_bound=longest, default=default)
        return coremltools.Shape((1, tokens))
    if len(lengths) == 1:
        return (1, longest)
    shapes = [(1, length) for length in lengths]
    return coremltools.EnumeratedShapes(shapes, default=(1, default))
