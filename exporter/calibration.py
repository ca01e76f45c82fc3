"""Texts from which static ranges of activations are taken."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from exporter.checkpoint import Checkpoint
from exporter.errors import UserError
from exporter.filesystem import explained_os_errors, sha256_file
from exporter.manifest import EvaluationRecord, Manifest
from exporter.model.config import SourceModel
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import ArtifactSpec, Target
from exporter.tokenizer import load_tokenizer
from exporter.verification.classification import encode_examples
from exporter.verification.labelled_data import Texts, read_texts

#: Enough for ranges of per-tensor activations; each costs a run of the model.
CALIBRATION_EXAMPLES = 128


def needs_calibration(spec: ArtifactSpec, target: Target) -> bool:
    """Whether the artifact quantizes activations with static ranges."""
    return find_scheme(target.scheme(spec.precision)).static_activations


def check_calibration(specs: Sequence[tuple[ArtifactSpec, Target]], data: Path | None) -> bool:
    """Whether an artifact needs texts. The arguments tell: no model has to be loaded for it.

    Raises UserError when an artifact needs texts and there are none, and when there are texts and
    none needs them.
    """
    needed = [spec.precision for spec, target in specs if needs_calibration(spec, target)]
    if not needed and data is not None:
        raise UserError(
            "Nothing that is asked for takes calibration data.", "Leave it out, or add w8a8."
        )
    if needed and data is None:
        raise UserError(
            f"{needed[0]} takes the ranges of its activations from texts, and none are given.",
            "Name a file of typical texts with --calibration-data TSV.",
        )
    return bool(needed)


def calibrated(
    checkpoint: Checkpoint,
    specs: Sequence[tuple[ArtifactSpec, Target]],
    data: Path | None,
    limit: int,
) -> tuple[Checkpoint, EvaluationRecord | None]:
    """``checkpoint`` with the first ``limit`` texts of ``data`` where an artifact needs them.

    Raises UserError as ``check_calibration`` does, for data that cannot be read, and for texts that
    the model cannot take: pairs where it knows single ones only, or the reverse.
    """
    if not check_calibration(specs, data) or data is None:
        return checkpoint, None
    texts = read_texts(data, limit=limit)
    _check_pairs(texts, data, checkpoint.model)
    tokenizer = load_tokenizer(checkpoint.tokenizer_files)
    encoded = encode_examples(tokenizer, texts.texts, texts.pairs, checkpoint.max_length)
    rows = tuple({name: row[None] for name, row in example.items()} for example in encoded.rows)
    model = replace(checkpoint.model, calibration=rows)
    record = EvaluationRecord(texts.name, texts.sha256, len(rows))
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


def _check_pairs(texts: Texts, data: Path, model: SourceModel) -> None:
    """What the model's form rules out. (Whether a classifier reads pairs, nothing tells.)"""
    if texts.pairs is None and model.task == "question-answering":
        raise UserError(
            f"{data} has single texts, and question answering takes a question and its context.",
            "Give a file with the columns text and text_pair.",
        )
    if texts.pairs is not None and model.config.token_types < 2:
        raise UserError(
            f"{data} has pairs of texts, and the model takes single ones: it knows one token type.",
            "Give a file with the column text alone.",
        )
