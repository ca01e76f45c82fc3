"""Ranges of activations, taken from runs of the fp16 package in the interpreter.

coremltools calibrates with CoreML's own predictions, which only Macs have.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from exporter.model.config import SourceModel
from exporter.quantization.calibration import running_ranges, shared_ranges
from exporter.quantization.kept import KEPT
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import INPUTS, Array
from exporter.targets.coreml.form import Form
from exporter.targets.coreml.interpreter import Interpreter, Reference, open_package
from exporter.targets.coreml.lower import lower
from exporter.targets.coreml.stored import linear_layers


def measured_ranges(model: SourceModel, form: Form) -> SourceModel:
    """``model`` with the ranges that its ``calibration`` texts have in ``form``'s layout.

    UserError where there is no text.
    """
    wide = replace(form, lengths="ranged", output="logits", asked=())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mlpackage"
        lower(model, "fp16", find_scheme("fp16_compute"), wide, {}, path)
        package = open_package(path)
        interpreter = Interpreter(package)
        entering = {
            name: operation.operands["x"].name
            for name, operation in linear_layers(package)
            if isinstance(operation.operands["x"], Reference) and f"{name}.weight" not in KEPT
        }

        def observe(text: Mapping[str, Array]) -> Mapping[str, Array]:
            inputs = {name: text[name].astype(np.int32) for name in INPUTS}
            values = interpreter.run(inputs, taps=tuple(set(entering.values())))
            return {name: values[tensor] for name, tensor in entering.items()}

        ranges = running_ranges(model.calibration, observe)
    return replace(model, ranges=shared_ranges(ranges))
