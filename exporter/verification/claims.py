"""What an artifact says of itself: inputs and outputs, metadata, and what is quantized."""

import json
from collections.abc import Mapping
from pathlib import Path

from exporter.model.config import SourceModel
from exporter.targets.base import ArtifactSpec, Coverage, Target
from exporter.verification.cases import artifact_cases
from exporter.verification.report import Check

#: Characters of an entry of the metadata that fit into a line beside those expected.
_SHOWN = 60


def signature_check(target: Target, path: Path, model: SourceModel) -> Check:
    """Inputs and outputs have the names, types and shapes that the artifact declares.

    A named axis has to be the batch or the sequence; one case, run, tells whether it is.
    """
    cases = artifact_cases(target, path, model)
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
        _other_entry(wrong[0], metadata.get(wrong[0]), expected[wrong[0]])
        if wrong
        else f"{len(expected)} entries are right, labels and their order among them"
    )
    return Check("metadata", not wrong, detail, {"wrong": float(len(wrong))}, 0)


def _other_entry(key: str, found: str | None, expected: str) -> str:
    """How an entry differs; of long ones (a mix, many labels) from the first difference on."""
    if found is None:
        return f"{key} is missing"
    if max(len(found), len(expected)) <= _SHOWN:
        return f"{key} is {found!r}, expected {expected!r}"
    pairs = enumerate(zip(found, expected, strict=False))
    shorter = min(len(found), len(expected))
    place = next((index for index, (one, other) in pairs if one != other), shorter)
    start = max(0, place - _SHOWN // 2)
    parts = [text[start : start + _SHOWN] for text in (found, expected)]
    return f"{key} differs at character {place}: it has {parts[0]!r}, expected {parts[1]!r}"
