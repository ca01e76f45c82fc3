"""What the command ``sensitivity`` calls."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.checkpoint import load
from exporter.errors import UserError
from exporter.filesystem import exclusive, explained_os_errors
from exporter.model.config import Task
from exporter.progress import Progress, SilentProgress
from exporter.search.examples import MOST_SEARCHED, Examples, examples_of, shuffled
from exporter.search.journal import Journal
from exporter.search.preparation import calibration_rows, prepare
from exporter.search.records import search_key
from exporter.search.report import write_sensitivity
from exporter.search.search import DEFAULT_MINUTES
from exporter.search.texts import TextsUsed
from exporter.targets.base import find_target
from exporter.verification.evaluation import Evaluator

_SILENT = SilentProgress()


@dataclass(frozen=True)
class SensitivityReport:
    """Where the report is, and on how many examples it was measured."""

    path: Path
    examples: int

    def text(self) -> str:
        """For the terminal: the report without its picture, and where both are."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        shown = "\n".join(line for line in lines if not line.startswith("!["))
        return f"{shown.strip()}\n\nReport and picture: {self.path}"

    def document(self) -> dict[str, Any]:
        """The document that ``sensitivity --json`` prints."""
        found: dict[str, Any] = json.loads(self.path.with_suffix(".json").read_bytes())
        return {"report": str(self.path), **found}


def sensitivity(
    model: str,
    data: Path,
    out: Path,
    *,
    target: str = "onnx",
    task: Task | None = None,
    labels: Sequence[str] | None = None,
    limit: int | None = None,
    minutes: float = DEFAULT_MINUTES,
    progress: Progress = _SILENT,
) -> SensitivityReport:
    """What each method of ``target`` does to each layer of ``model``, on ``data``, into ``out``.

    Up to ``limit`` examples, drawn by a seed, as many as about ``minutes`` are enough for; the same
    call goes on where it ended. Raises UserError for input that cannot be used and CheckFailed when
    the time is too short for any result.
    """
    found = find_target(target)
    if not found.methods:
        raise UserError(
            f"{target} has no methods that could differ by layer.",
            "Choose --target onnx or executorch.",
        )
    with progress.step(f"load {model}"):
        checkpoint = load(model, task=task, labels=labels)
    evaluator = Evaluator.open(checkpoint, data)
    with explained_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with exclusive(out):
        examples = _sample(evaluator, limit)
        rows = calibration_rows(examples)
        key = search_key(checkpoint.source_hash, evaluator.data.sha256, len(examples), rows, found)
        with progress.step("sensitivity of every layer") as detail:
            prepared = prepare(
                checkpoint.model,
                found,
                examples,
                rows,
                Journal(out / "measured.jsonl"),
                key,
                seconds=minutes * 60,
                products=True,
                progress=detail,
            )
        texts = TextsUsed(len(rows), own=True)
        report = write_sensitivity(prepared, target, evaluator.data.name, texts, out)
    return SensitivityReport(report, prepared.sensitivity.examples)


def _sample(evaluator: Evaluator, limit: int | None) -> Examples:
    """Drawn by the seed. The logits of the reference are not needed, and left at zero."""
    count = MOST_SEARCHED if limit is None else limit
    return examples_of(evaluator, reference=False).take(shuffled(len(evaluator.data))[:count])
