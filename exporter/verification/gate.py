"""The gate: all that an artifact has to pass before it may enter a bundle.

The proof has links that hold each other. A *twin* is written by the same code from sensitised
weights. (1) The twin equals PyTorch in every layer. (2) The artifact has the twin's structure: it
differs only in the values of its weights. (3) Each of these values is audited against the source,
or against the model that the target stores in its place, and factors and static bounds against the
mix. (4) That model, where it is another, computes what the source computes. (5) The outputs of the
artifact itself equal those of transformers' own model.
"""

import gc
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from exporter.model.config import SourceModel
from exporter.model.random import sensitised_weights
from exporter.model.reference import transformers_model
from exporter.quantization.reference import Reference, plain_reference
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import Array, ArtifactSpec, Coverage, Target
from exporter.verification.audit import weight_audit
from exporter.verification.cases import Case, artifact_cases
from exporter.verification.claims import coverage_check, metadata_check, signature_check
from exporter.verification.mixed_audit import mixed_audit
from exporter.verification.parity import layer_parity, output_parity
from exporter.verification.ranges import ranges_check
from exporter.verification.report import Check, GateReport
from exporter.verification.stored_mix import (
    MIX_KEY,
    bounds_check,
    smoothing_check,
    with_own_values,
)

_TWIN_SEED = 1

#: Relative. Rounding over all layers: at most 2.3e-5 measured on 12 layers of sensitised weights;
#: one lost bias before a residual changes the outputs of a 3-layer model by 5.7e-2 and more.
_EQUIVALENCE_TOLERANCE = 2e-4


def prove(
    target: Target,
    spec: ArtifactSpec,
    path: Path,
    model: SourceModel,
    *,
    metadata: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[GateReport, Coverage]:
    """Run every check on the artifact at ``path``, which was made from ``model``.

    ``metadata`` is what the artifact has to say of itself beside labels, task and the like (hashes
    of source and tokenizer).

    Raises UserError when the artifact cannot be opened at all, and OSError when the twin finds no
    room in the folder for temporary files. Needs memory for two copies of the model beside the
    artifact's own.
    """
    labels = len(model.labels or ())
    coverage = target.coverage(path, spec.precision, model.config, model.task, labels)
    progress("weights")
    scheme = find_scheme(target.scheme(spec.precision))
    stored = target.stored_model(model, spec.precision)
    weights = target.stored_weights(path, model.config, model.task)
    checks = [
        coverage_check(coverage),
        metadata_check(target.metadata(path), spec, model, metadata or {}),
        signature_check(target, path, model),
        mixed_audit(weights, stored)
        if scheme.mixed
        else weight_audit(weights, stored if scheme.equalized else model, stored, scheme.compress),
        _real_outputs(target, spec, path, model, progress),
    ]
    if scheme.mixed:
        checks.append(smoothing_check(target.smoothing(path), stored))
        checks.append(bounds_check(target.static_grids(path), stored))
    if scheme.mixed or (scheme.equalized and not _same_weights(stored, model)):
        progress("equivalence")
        checks.append(
            _equivalence_check(stored, model, artifact_cases(target, path, model), progress)
        )
    if ranges := target.activation_ranges(path):
        progress("ranges of activations")
        checks.append(ranges_check(ranges, model))
    if scheme.static_activations and not checks[0].passed:
        # A layer without a range has no reference to be compared with.
        return GateReport(tuple(checks)), coverage
    gc.collect()
    checks += _twin_checks(target, spec, path, model, progress)
    return GateReport(tuple(checks)), coverage


def _equivalence_check(
    stored: SourceModel, model: SourceModel, cases: Sequence[Case], progress: Callable[[str], None]
) -> Check:
    """The model that is quantized computes in fp32 what transformers' own model does."""
    quantized, source = plain_reference(stored), transformers_model(model)
    return output_parity(
        "equivalence",
        lambda inputs: _run(quantized, inputs),
        lambda inputs: _outputs(source, inputs),
        cases,
        _EQUIVALENCE_TOLERANCE,
        progress,
    )


def _real_outputs(
    target: Target,
    spec: ArtifactSpec,
    path: Path,
    model: SourceModel,
    progress: Callable[[str], None],
) -> Check:
    """The artifact on its real weights, against transformers' own model.

    What a mix loses is its own choice, so that against fp32 a lossy one cannot be told from a
    broken one: a mixed artifact is compared with its scheme, and what the scheme starts from with
    transformers' model (``_equivalence_check``).
    """
    scheme = find_scheme(target.scheme(spec.precision))
    if scheme.mixed:
        stored = scheme.reference(target.stored_model(model, spec.precision))

        def expected(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return stored.run(**inputs)
    else:
        reference = transformers_model(model)

        def expected(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return _outputs(reference, inputs)

    return output_parity(
        "outputs",
        target.open(path).run,
        expected,
        artifact_cases(target, path, model),
        scheme.output_tolerance,
        progress,
        empty_rows=scheme.empty_rows,
    )


def _outputs(
    reference: torch.nn.Module, inputs: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """transformers' outputs that artifacts have too."""
    names = ("logits", "start_logits", "end_logits", "last_hidden_state")
    outputs = reference(**inputs)
    return {name: outputs[name] for name in names if name in outputs}


def _twin_checks(
    target: Target,
    spec: ArtifactSpec,
    path: Path,
    model: SourceModel,
    progress: Callable[[str], None],
) -> list[Check]:
    weights = sensitised_weights(model.config, model.task, len(model.labels or ()), _TWIN_SEED)
    cases = artifact_cases(target, path, model)
    twin = with_own_values(replace(model, weights=weights, calibration=tuple(_texts(cases))))
    scheme = find_scheme(target.scheme(spec.precision))
    stored = target.stored_model(twin, spec.precision)
    with tempfile.TemporaryDirectory() as folder:
        twin_path = Path(folder) / path.name
        progress("sensitised twin")
        target.write(twin, spec, twin_path, _mix_entry(twin))
        equal = target.structure(path) == target.structure(twin_path)
        ranges = target.activation_ranges(twin_path)
        stored_reference = scheme.reference(replace(stored, ranges=ranges))
        layers = layer_parity(
            target.open(twin_path, taps=True),
            stored_reference,
            cases,
            scheme.layer_tolerance,
            progress,
        )
    detail = (
        "the artifact and its sensitised twin differ only in the values of weights"
        if equal
        else "the graph on disk is not the one that the exporter makes"
    )
    structure = Check("structure", equal, detail, {"equal": float(equal)}, None)
    if scheme.equalized or _same_weights(stored, twin):
        return [structure, layers]  # compared on the source itself, or nothing to compare
    source_reference = scheme.reference(replace(twin, ranges=ranges))
    equivalence = output_parity(
        "equivalence",
        lambda inputs: _run(stored_reference, inputs),
        lambda inputs: source_reference.run(**inputs),
        cases,
        _EQUIVALENCE_TOLERANCE,
        progress,
    )
    return [structure, layers, equivalence]


def _mix_entry(model: SourceModel) -> dict[str, str]:
    return {} if model.mix is None else {MIX_KEY: model.mix.text()}


def _same_weights(stored: SourceModel, source: SourceModel) -> bool:
    return all(tensor is source.weights[name] for name, tensor in stored.weights.items())


def _run(reference: Reference, inputs: Mapping[str, Array]) -> dict[str, Array]:
    tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
    with torch.no_grad():
        return {name: value.numpy() for name, value in reference.run(**tensors).items()}


def _texts(cases: Sequence[Case]) -> Iterator[dict[str, Array]]:
    """Every row of the cases that has a token, as an input of its own."""
    for case in cases:
        for row, mask in enumerate(case.inputs["attention_mask"]):
            if mask.any():
                yield {name: values[row : row + 1] for name, values in case.inputs.items()}
