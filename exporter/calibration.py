"""Texts from which static ranges of activations are taken."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from exporter.checkpoint import Checkpoint
from exporter.errors import UserError
from exporter.manifest import EvaluationRecord
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import ArtifactSpec, Target
from exporter.tokenizer import load_tokenizer
from exporter.verification.classification import encode_examples
from exporter.verification.labelled_data import read_texts

#: Enough for ranges of per-tensor activations; each costs a run of the model.
CALIBRATION_EXAMPLES = 128


def needs_calibration(spec: ArtifactSpec, target: Target) -> bool:
    """Whether the artifact quantizes activations with static ranges."""
    return find_scheme(target.scheme(spec.precision)).static_activations


def calibrated(
    checkpoint: Checkpoint,
    specs: Sequence[tuple[ArtifactSpec, Target]],
    data: Path | None,
    limit: int,
) -> tuple[Checkpoint, EvaluationRecord | None]:
    """``checkpoint`` with the first ``limit`` texts of ``data`` where an artifact needs them.

    Raises UserError when an artifact needs texts and there are none, when there are texts and none
    needs them, and for data that cannot be read.
    """
    needed = [spec.precision for spec, target in specs if needs_calibration(spec, target)]
    if not needed:
        if data is not None:
            raise UserError(
                "Nothing that is asked for takes calibration data.", "Leave it out, or add w8a8."
            )
        return checkpoint, None
    if data is None:
        raise UserError(
            f"{needed[0]} takes the ranges of its activations from texts, and none are given.",
            "Name a file of typical texts with --calibration-data TSV.",
        )
    texts = read_texts(data, limit=limit)
    tokenizer = load_tokenizer(checkpoint.tokenizer_files)
    encoded = encode_examples(tokenizer, texts.texts, texts.pairs, checkpoint.max_length)
    rows = tuple({name: row[None] for name, row in example.items()} for example in encoded.rows)
    model = replace(checkpoint.model, calibration=rows)
    record = EvaluationRecord(texts.name, texts.sha256, len(rows))
    return replace(checkpoint, model=model), record
