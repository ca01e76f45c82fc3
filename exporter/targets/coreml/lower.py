"""From a model to a Core ML package (``.mlpackage``)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.errors import UserError
from exporter.model.config import SourceModel
from exporter.quantization.schemes import Scheme
from exporter.quiet import apart
from exporter.targets.coreml.form import Form
from exporter.targets.coreml.writer import write_package


def lower(
    model: SourceModel,
    precision: str,
    scheme: Scheme,
    form: Form,
    metadata: Mapping[str, str],
    path: Path,
) -> None:
    """Write the package ``path``, a folder; one that is there is replaced.

    Inputs: int32 [1, S] each, by the names of ``exporter.targets.base.INPUTS``. Outputs: those of
    ``OUTPUTS``, float32; a classifier's form has the label and all probabilities before them.
    Everything between is float16, or float32 for the precision ``fp32``. ``metadata`` is kept in
    the package.

    UserError for weights beyond fp16's range, labels that a classifier cannot tell apart, and a
    precision that needs measured ranges without them.
    """
    if form.output == "classifier":
        _check_labels(model.labels or ())
    if scheme.static_activations and not model.ranges:
        raise UserError(
            f"{precision} quantizes activations, and nothing says how large they are.",
            "Give texts to measure them on: --calibration-data FILE.tsv",
        )

    def translated(weights_folder: Path) -> Any:
        # Not at the top: coremltools takes seconds to import, and talks.
        from exporter.targets.coreml.description import describe
        from exporter.targets.coreml.program import translate

        spec = translate(
            model, scheme, form, form.deployment(precision, model.config), weights_folder
        )
        describe(spec, model, precision, form, metadata)
        return spec

    with apart():
        write_package(path, translated)


def _check_labels(labels: tuple[str, ...]) -> None:
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise UserError(
            f"A Core ML classifier has one probability a label, and labels are repeated: "
            f"{', '.join(repeated)}.",
            "Name them apart with --labels, or build the form without labels: --flavour logits",
        )
