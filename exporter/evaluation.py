"""Measuring the accuracy of a bundle's artifacts on labelled data, and writing it down there.

from exporter.evaluation import evaluate
result = evaluate(Path("out/intents"), Path("clinc_test.tsv.gz"), processes=2)
print(result.accuracies["onnx/model_int8.onnx"].accuracy)

A program that asks for several processes must keep its own work behind
``if __name__ == "__main__"``: the processes import it (``multiprocessing``, ``spawn``).
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from exporter.bundle_folder import artifact_path, versions
from exporter.bundle_folder import save as save_manifest
from exporter.errors import CheckFailed, UserError
from exporter.evaluation_parts import OpenArtifact, OpenReference, Parts, parts_folder
from exporter.filesystem import exclusive, remove
from exporter.manifest import ArtifactRecord, EvaluationRecord, Manifest, with_accuracy
from exporter.manifest_file import read_manifest
from exporter.prediction import find_artifact
from exporter.progress import Detail, Progress, SilentProgress
from exporter.recheck import load_source
from exporter.targets.base import Array, code_hash, find_target
from exporter.verification.accuracy import Accuracy
from exporter.verification.classification import (
    Encoded,
    batch_size_for,
    chunks,
)
from exporter.verification.evaluation import REFERENCE_BATCH_SIZE, Evaluator
from exporter.verification.label_order import check_label_order
from exporter.verification.measuring import measure_logits
from exporter.verification.report import Check
from exporter.verification.workers import Workers, open_workers

_SILENT = SilentProgress()
_STOCK = "stock"


@dataclass(frozen=True)
class Evaluation:
    """Accuracies of a bundle's artifacts on the same examples, and the gate's verdicts.

    An artifact whose outputs are not finite has a failed check and no accuracy; stock exports
    promise nothing, and have no check. ``skipped`` counts examples without a label. ``saved`` are
    the artifacts whose accuracy was written into the bundle, ``not_saved`` says why none was.
    """

    data: str
    examples: int
    accuracies: Mapping[str, Accuracy]
    checks: Mapping[str, Check]
    skipped: int = 0
    saved: tuple[str, ...] = ()
    not_saved: str = ""

    @property
    def passed(self) -> bool:
        """Whether every artifact keeps the accuracy that a build asks for."""
        return all(check.passed for check in self.checks.values())

    def as_dict(self) -> dict[str, Any]:
        """The document that ``evaluate --json`` prints."""
        artifacts: dict[str, Any] = {}
        for path in dict.fromkeys((*self.accuracies, *self.checks)):
            accuracy, check = self.accuracies.get(path), self.checks.get(path)
            artifacts[path] = {} if accuracy is None else accuracy.as_dict()
            artifacts[path]["check"] = None if check is None else asdict(check)
        return {
            "data": self.data,
            "examples": self.examples,
            "skipped": self.skipped,
            "passed": self.passed,
            "saved": list(self.saved),
            "not_saved": self.not_saved,
            "artifacts": artifacts,
        }


@dataclass(frozen=True)
class _Measured:
    """An artifact to measure: how it is opened, and with which examples."""

    record: ArtifactRecord
    opener: OpenArtifact
    encoded: Encoded
    longest: int | None
    batch_size: int


def evaluate(
    bundle: Path,
    data: Path,
    *,
    limit: int | None = None,
    artifact: str | None = None,
    source: str | None = None,
    batch_size: int | None = None,
    processes: int = 1,
    save: bool = True,
    progress: Progress = _SILENT,
) -> Evaluation:
    """Measure the accuracy of every artifact (or of ``artifact``) on labelled ``data``.

    The reference is the PyTorch fp32 encoder of ``source``, by default the model that the
    manifest names. ``batch_size`` replaces the default of each precision (see
    ``verification.classification``). The examples are shared out among ``processes``; the numbers
    do not depend on how many.

    With ``save``, what was measured on all examples (no ``limit`` before the last one, no
    ``batch_size``) goes into the manifest and the model card, artifact by artifact. Finished parts
    are kept beside the bundle, in ``BUNDLE.evaluation``, until the evaluation is finished: the same
    call continues one that was interrupted.

    Raises UserError for input that cannot be used: also for labels that stand in another order than
    the model's, as far as its answers show it. Raises CheckFailed for another model, and where a
    process dies.
    """
    manifest = read_manifest(bundle)
    chosen = manifest.artifacts
    if artifact is not None or not chosen:
        chosen = (find_artifact(manifest, artifact),)
    if save:
        _require_writable(bundle)
    paths = {record.path: artifact_path(bundle, record) for record in chosen}
    checkpoint = load_source(manifest, source, progress)
    with progress.step(f"read {data}"):
        evaluator = Evaluator.open(checkpoint, data, limit=limit)
    measured = [_measured(manifest, r, paths[r.path], evaluator, batch_size) for r in chosen]
    why_not = _why_not_saved(evaluator, save, batch_size)
    accuracies, checks = {}, {}
    saved: list[str] = []
    count = min(processes, len(chunks(evaluator.encoded, REFERENCE_BATCH_SIZE)))
    with ExitStack() as stack:
        parts = Parts(parts_folder(stack, bundle, progress), [])
        workers = stack.enter_context(open_workers(count))
        with progress.step("PyTorch fp32") as detail:
            reference = _reference(manifest, evaluator, workers, parts, detail)
        check_label_order(reference, evaluator.data, checkpoint.model.labels or ())
        for item in measured:
            path = item.record.path
            try:
                with progress.step(path) as detail:
                    logits = _logits(item, evaluator, workers, parts, detail)
            except CheckFailed as error:
                checks[path] = Check("runs", False, str(error), {})
                continue
            accuracy = evaluator.compare(reference, logits, item.encoded, item.batch_size)
            accuracies[path] = accuracy
            if manifest.recipe != _STOCK:
                choice = item.record.choice
                budget = None if choice is None else choice.budget
                checks[path] = evaluator.check(accuracy, item.record.precision, budget)
            if not why_not and _saved(bundle, item.record, evaluator, accuracy, checks.get(path)):
                saved.append(path)
        for finished in parts.used:
            remove(finished)
    found = evaluator.data
    return Evaluation(
        found.name, len(found), accuracies, checks, found.skipped, tuple(saved), why_not
    )


def _measured(
    manifest: Manifest,
    record: ArtifactRecord,
    path: Path,
    evaluator: Evaluator,
    batch_size: int | None,
) -> _Measured:
    stock = manifest.recipe == _STOCK
    opener = OpenArtifact(record.target, path, record.sha256, stock)
    # A stock export has no lengths of its own.
    longest = None if stock else find_target(record.target).limit(path)
    size = batch_size_for(record.precision) if batch_size is None else batch_size
    return _Measured(record, opener, evaluator.cut(longest), longest, size)


def _reference(
    manifest: Manifest,
    evaluator: Evaluator,
    workers: Workers,
    parts: Parts,
    detail: Detail,
) -> Array:
    """PyTorch's logits, [examples, labels]."""
    checkpoint = evaluator.checkpoint
    model = checkpoint.model
    kept = parts.kept(
        **_examples(evaluator),
        source=checkpoint.source_hash,
        code=code_hash("", Path(__file__).parent / "model"),
    )
    opener = OpenReference(
        checkpoint.name, model.task, model.labels, manifest.model.seed, checkpoint.source_hash
    )
    size, labels = REFERENCE_BATCH_SIZE, len(model.labels or ())
    return measure_logits(workers, opener, evaluator.encoded, size, labels, kept, detail)


def _logits(
    item: _Measured, evaluator: Evaluator, workers: Workers, parts: Parts, detail: Detail
) -> Array:
    """The artifact's logits, [examples, labels]."""
    record = item.record
    kept = parts.kept(
        **_examples(evaluator),
        files=[file.sha256 for file in record.files],
        code=find_target(record.target).fingerprint(),
        batch_size=item.batch_size,
        longest=item.longest,
    )
    labels = len(evaluator.checkpoint.model.labels or ())
    return measure_logits(workers, item.opener, item.encoded, item.batch_size, labels, kept, detail)


def _examples(evaluator: Evaluator) -> dict[str, Any]:
    """What the numbers depend on beside the model."""
    data = evaluator.data
    tokenizer = evaluator.checkpoint.tokenizer_hash
    return {
        "data": data.sha256,
        "examples": len(data),
        "tokenizer": tokenizer,
        "versions": versions(),
    }


def _require_writable(bundle: Path) -> None:
    """UserError now, and not after minutes, where the results could not be written."""
    if not os.access(bundle, os.W_OK):
        raise UserError(
            f"The results cannot be written into {bundle}.", "Leave that out with --no-save."
        )
    with exclusive(bundle):
        pass


def _why_not_saved(evaluator: Evaluator, save: bool, batch_size: int | None) -> str:
    if not save:
        return "it was not to be"
    if not evaluator.data.complete:
        return f"only the first {len(evaluator.data)} examples were used"
    return "" if batch_size is None else "the batch size is not the usual one"


def _saved(
    bundle: Path,
    record: ArtifactRecord,
    evaluator: Evaluator,
    accuracy: Accuracy,
    check: Check | None,
) -> bool:
    """Write what was found into the manifest and the card, if the artifact is still the same."""
    with exclusive(bundle):
        manifest = read_manifest(bundle)  # now that nobody else writes
        current = manifest.artifact(record.path)
        if current is None or current.sha256 != record.sha256:
            return False
        current = with_accuracy(current, evaluator.record(accuracy))
        if check is not None:
            others = [c for c in current.verification["checks"] if c["name"] != check.name]
            passed = check.passed and all(c["passed"] for c in others)
            current = replace(
                current, verification={"passed": passed, "checks": [*others, asdict(check)]}
            )
        data = evaluator.data
        evaluation = EvaluationRecord(data.name, data.sha256, len(data))
        save_manifest(bundle, replace(manifest.with_artifact(current), evaluation=evaluation))
    return True
