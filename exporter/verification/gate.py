"""The gate: all that an artifact has to pass before it may enter a bundle.

The proof has links that hold each other. A *twin* is written by the same code from sensitised
weights. (1) The twin equals PyTorch in every layer. (2) The artifact has the twin's structure: it
differs only in the values of its weights. (3) Each of these values is audited against the source,
or against the model that the target stores in its place, and (4) that one, where it is another,
computes what the source computes. (5) The outputs of the artifact itself equal those of
transformers' own model.
"""

import gc
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from exporter.model.config import SourceModel
from exporter.model.random import sensitised_weights
from exporter.model.reference import transformers_model
from exporter.quantization.reference import Reference, plain_reference
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import Array, ArtifactSpec, Coverage, Target
from exporter.verification.audit import weight_audit
from exporter.verification.cases import Case, verification_cases
from exporter.verification.mixed_audit import mixed_audit
from exporter.verification.parity import layer_parity, output_parity
from exporter.verification.ranges import ranges_check
from exporter.verification.report import Check, GateReport

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
    if scheme.mixed or (scheme.equalized and not _same_weights(stored, model)):
        progress("equivalence")
        checks.append(_equivalence_check(stored, model, _cases(target, path, model), progress))
    if ranges := target.activation_ranges(path):
        progress("ranges of activations")
        checks.append(ranges_check(ranges, model))
    if scheme.static_activations and not checks[0].passed:
        # A layer without a range has no reference to be compared with.
        return GateReport(tuple(checks)), coverage
    gc.collect()
    checks += _twin_checks(target, spec, path, model, progress)
    return GateReport(tuple(checks)), coverage


def signature_check(target: Target, path: Path, model: SourceModel) -> Check:
    """Inputs and outputs have the names, types and shapes that the artifact declares.

    A named axis has to be the batch or the sequence; one case, run, tells whether it is.
    """
    cases = _cases(target, path, model)
    case = next(c for c in cases if c.name == "padded batch")
    declared = {spec.name: spec for group in target.signature(path) for spec in group}
    rows = declared["input_ids"].shape[0] if "input_ids" in declared else None
    inputs = {n: v[:rows] if isinstance(rows, int) else v for n, v in case.inputs.items()}
    batch, sequence = inputs["input_ids"].shape
    sizes: dict[int | str, int] = {"batch": batch, "sequence": sequence}
    # Sessions take int64 and hand the artifact what it declares.
    fed = {n: v.astype(declared[n].dtype) if n in declared else v for n, v in inputs.items()}
    actual = {**fed, **target.open(path).run(inputs)}
    wrong = [f"{name} is undeclared or missing" for name in set(actual) ^ set(declared)]
    for name in set(actual) & set(declared):
        spec, value = declared[name], actual[name]
        shape = tuple(sizes.get(size, size) for size in spec.shape)
        if (shape, spec.dtype) != (value.shape, value.dtype.name):
            wrong.append(
                f"{name} is {value.dtype.name} {value.shape}, declared {spec.dtype} {spec.shape}"
            )
    detail = wrong[0] if wrong else "inputs and outputs are as declared"
    return Check("signature", not wrong, detail, {"wrong": float(len(wrong))}, 0)


def coverage_check(coverage: Coverage) -> Check:
    """The scheme's promise about stored types and operators is kept."""
    violations = coverage.violations
    detail = violations[0] if violations else f"{len(coverage.weights)} weights as promised"
    measured = {"violations": float(len(violations)), "kept wider": float(len(coverage.kept))}
    return Check("coverage", not violations, detail, measured, 0)


def metadata_check(
    metadata: Mapping[str, str],
    spec: ArtifactSpec,
    model: SourceModel,
    wanted: Mapping[str, str],
) -> Check:
    """What the artifact says about itself is true: labels in order, task, precision, hashes."""
    expected = {
        **wanted,
        "labels": json.dumps(model.labels, ensure_ascii=False),
        "task": model.task,
        "precision": spec.precision,
        "flavour": spec.flavour,
        "max_positions": str(model.config.max_positions),
        **({"backend": spec.backend} if spec.backend else {}),
        **({"mix": model.mix.text()} if model.mix is not None else {}),
    }
    wrong = [key for key, value in expected.items() if metadata.get(key) != value]
    detail = (
        f"{wrong[0]} is {metadata.get(wrong[0])!r}, expected {expected[wrong[0]]!r}"
        if wrong
        else f"{len(expected)} entries are right, labels and their order among them"
    )
    return Check("metadata", not wrong, detail, {"wrong": float(len(wrong))}, 0)


def smoothing_check(found: Mapping[str, Array], stored: SourceModel) -> Check:
    """The artifact divides the inputs of layers by the mix's factors, and by nothing else."""
    wanted = {} if stored.mix is None else stored.mix.smoothing
    wrong = sorted(set(found) ^ set(wanted))
    wrong += [n for n in set(found) & set(wanted) if not np.array_equal(found[n], wanted[n])]
    detail = (
        f"{wrong[0]} has other factors than the mix" if wrong else f"{len(wanted)} smoothed inputs"
    )
    return Check("smoothing", not wrong, detail, {"wrong": float(len(wrong))}, 0)


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
        _cases(target, path, model),
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
    cases = _cases(target, path, model)
    # Corrected levels are values of the source's weights; the twin has its own.
    mix = None if model.mix is None else replace(model.mix, corrected={})
    twin = replace(model, weights=weights, calibration=tuple(_texts(cases)), mix=mix)
    scheme = find_scheme(target.scheme(spec.precision))
    stored = target.stored_model(twin, spec.precision)
    with tempfile.TemporaryDirectory() as folder:
        twin_path = Path(folder) / path.name
        progress("sensitised twin")
        target.write(twin, spec, twin_path, {} if mix is None else {"mix": mix.text()})
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


def _same_weights(stored: SourceModel, source: SourceModel) -> bool:
    return all(tensor is source.weights[name] for name, tensor in stored.weights.items())


def _run(reference: Reference, inputs: Mapping[str, Array]) -> dict[str, Array]:
    tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
    with torch.no_grad():
        return {name: value.numpy() for name, value in reference.run(**tensors).items()}


def _cases(target: Target, path: Path, model: SourceModel) -> tuple[Case, ...]:
    """What the artifact is compared on: as long as it takes, and each of its lengths."""
    lengths, limit = target.lengths(path), target.limit(path)
    return verification_cases(model.config, lengths=lengths, limit=limit)


def _texts(cases: Sequence[Case]) -> Iterator[dict[str, Array]]:
    """Every row of the cases that has a token, as an input of its own."""
    for case in cases:
        for row, mask in enumerate(case.inputs["attention_mask"]):
            if mask.any():
                yield {name: values[row : row + 1] for name, values in case.inputs.items()}
