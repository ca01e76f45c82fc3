"""Labelled data ready to measure artifacts with: encoded once, the PyTorch logits computed once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from exporter.checkpoint import Checkpoint
from exporter.errors import UserError
from exporter.model.config import SourceModel
from exporter.targets.base import Array, Session
from exporter.tokenizer import load_tokenizer
from exporter.verification.accuracy import Accuracy, check_accuracy, compare
from exporter.verification.classification import (
    Encoded,
    artifact_run,
    batch_size_for,
    classify,
    encode_examples,
    reference_run,
)
from exporter.verification.labelled_data import LabelledData, read_labelled
from exporter.verification.report import Check

REFERENCE_BATCH_SIZE = 16
_FIELDS = ("examples", "data", "data_sha256")


@dataclass(frozen=True)
class Evaluator:
    """Measures any number of artifacts of one checkpoint on the same examples."""

    checkpoint: Checkpoint
    data: LabelledData
    encoded: Encoded

    @classmethod
    def open(cls, checkpoint: Checkpoint, path: Path, *, limit: int | None = None) -> "Evaluator":
        """Read and encode ``path`` (its first ``limit`` examples).

        Raises UserError for data that cannot be used (see ``read_labelled``), for a task without
        labels, and for seeded weights, whose accuracy means nothing.
        """
        labels = _require_classifier(checkpoint.model)
        if not checkpoint.trained:
            raise UserError(
                f"{checkpoint.name} has seeded random weights: its accuracy means nothing.",
                "Give a trained checkpoint, or leave out the labelled data.",
            )
        data = read_labelled(path, labels, limit=limit)
        tokenizer = load_tokenizer(checkpoint.tokenizer_files)
        encoded = encode_examples(tokenizer, data.texts, data.pairs, checkpoint.max_length)
        return cls(checkpoint, data, encoded)

    @cached_property
    def reference_logits(self) -> Array:
        """Logits of the PyTorch fp32 encoder, [examples, labels]."""
        run = reference_run(self.checkpoint.model)
        return classify(run, self.encoded, batch_size=REFERENCE_BATCH_SIZE)

    def measure(
        self,
        session: Session,
        precision: str,
        progress: Callable[[str], None],
        *,
        batch_size: int | None = None,
        longest: int | None = None,
    ) -> Accuracy:
        """Run all examples. Raises CheckFailed when an output is not finite.

        ``longest`` is the largest number of tokens that the artifact takes, where that is less than
        the model's: longer texts are cut to it, and PyTorch still reads them whole.
        """
        size = batch_size_for(precision) if batch_size is None else batch_size
        progress("PyTorch in fp32")
        reference = self.reference_logits
        encoded = self.cut(longest)
        logits = classify(artifact_run(session), encoded, batch_size=size, progress=progress)
        return self.compare(reference, logits, encoded, size)

    def compare(
        self, reference: Array, logits: Array, encoded: Encoded, batch_size: int
    ) -> Accuracy:
        """What ``logits`` of ``encoded`` say, next to those of PyTorch; [examples, labels] each."""
        return compare(
            reference,
            logits,
            self.data,
            label_names=self.checkpoint.model.labels or (),
            truncated=encoded.truncated,
            batch_size=batch_size,
        )

    def cut(self, longest: int | None) -> Encoded:
        """The examples, cut to ``longest`` tokens where that is less than the model's limit."""
        if longest is None or longest >= self.checkpoint.max_length:
            return self.encoded
        tokenizer = load_tokenizer(self.checkpoint.tokenizer_files)
        return encode_examples(tokenizer, self.data.texts, self.data.pairs, longest)

    def check(self, accuracy: Accuracy, precision: str, budget: float | None = None) -> Check:
        """The gate's verdict on ``accuracy`` (see ``check_accuracy``)."""
        return check_accuracy(accuracy, precision, budget)

    def record(self, accuracy: Accuracy) -> dict[str, Any]:
        """For the manifest: the accuracy and the data it was measured on."""
        return {"data": self.data.name, "data_sha256": self.data.sha256, **accuracy.as_dict()}

    def measured(self, record: Mapping[str, Any] | None) -> bool:
        """Whether ``record`` of a manifest was measured on exactly these examples."""
        mine = (len(self.data), self.data.name, self.data.sha256)
        return record is not None and tuple(record.get(field) for field in _FIELDS) == mine


def _require_classifier(model: SourceModel) -> tuple[str, ...]:
    """The labels of a sequence classifier; UserError for every other task."""
    if model.task != "sequence-classification" or not model.labels:
        raise UserError(
            f"Accuracy is measured for sequence-classification, not for {model.task}.",
            "Build such a model without --eval-data and --budget, with --precision where you want "
            "others than the usual: its outputs are compared with PyTorch's all the same.",
        )
    return model.labels
