"""Texts from which static ranges of activations are taken."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from exporter.calibration_texts import calibration_texts
from exporter.checkpoint import Checkpoint
from exporter.errors import UserError
from exporter.filesystem import explained_os_errors, sha256_file
from exporter.manifest import CalibrationRecord, Manifest
from exporter.quantization.mix import MIXED
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import ArtifactSpec, Target

#: Enough for ranges of per-tensor activations; each costs a run of the model.
CALIBRATION_EXAMPLES = 128


def needs_calibration(spec: ArtifactSpec, target: Target) -> bool:
    """Whether the artifact quantizes activations with static ranges."""
    return find_scheme(target.scheme(spec.precision)).static_activations


def check_calibration(specs: Sequence[tuple[ArtifactSpec, Target]], data: Path | None) -> bool:
    """Whether an artifact takes texts. The arguments tell: no model has to be loaded for it.

    The precision ``mixed`` takes them where there are any. Raises UserError when an artifact needs
    texts and there are none, and when there are texts and none takes them.
    """
    takes = any(spec.precision == MIXED for spec, _ in specs)
    needed = [spec.precision for spec, target in specs if needs_calibration(spec, target)]
    if not (needed or takes) and data is not None:
        raise UserError(
            "Nothing that is asked for takes calibration data.",
            "Leave it out, or add w8a8 or --budget.",
        )
    if needed and data is None:
        raise UserError(
            f"{needed[0]} takes the ranges of its activations from texts, and none are given.",
            "Name a file of typical texts with --calibration-data TSV.",
        )
    return data is not None


def calibrated(
    checkpoint: Checkpoint,
    specs: Sequence[tuple[ArtifactSpec, Target]],
    data: Path | None,
    limit: int,
    seed: int | None = 0,
) -> tuple[Checkpoint, CalibrationRecord | None]:
    """``checkpoint`` with ``limit`` texts of ``data`` that ``seed`` draws, where an artifact needs
    them; see ``calibration_texts``.

    Raises UserError as ``check_calibration`` and ``calibration_texts`` do.
    """
    if not check_calibration(specs, data) or data is None:
        return checkpoint, None
    texts = calibration_texts(checkpoint, data, limit, seed)
    model = replace(checkpoint.model, calibration=texts.rows)
    record = CalibrationRecord(texts.name, texts.sha256, len(texts.rows), seed, texts.lengths)
    return replace(checkpoint, model=model), record


def uncalibrated(manifest: Manifest, data: Path | None) -> dict[str, str]:
    """Why artifacts cannot be proved with the texts ``data``, by their paths.

    Raises UserError for a file that no artifact of ``manifest`` took its ranges from.
    """
    records = {a.path: a.calibration for a in manifest.artifacts if a.calibration is not None}
    if not records:
        return {}
    found = ""
    if data is not None:
        with explained_os_errors(data):
            found = sha256_file(data)
    names = {path: record.data for path, record in records.items() if record.sha256 != found}
    if data is not None and len(names) == len(records):
        path, name = next(iter(names.items()))
        raise UserError(
            f"{path} took the ranges of its activations from {name}, and {data} is another file.",
            "Give the same file with --calibration-data TSV.",
        )
    return {
        path: f"The ranges of its activations were taken from {name}. Give that file with "
        "--calibration-data TSV."
        for path, name in names.items()
    }
