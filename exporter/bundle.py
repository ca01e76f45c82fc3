"""From a checkpoint to a bundle: every artifact is written, proved, measured, then let in.

from exporter.bundle import build
result = build("example:intents", Path("out/intents"), precisions=("fp32", "int8"))
assert not result.refused
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from exporter.admission import keep, make, refuse
from exporter.bundle_folder import (
    find_bundle,
    save,
    start_manifest,
)
from exporter.calibration import (
    CALIBRATION_EXAMPLES,
    calibrated,
    check_calibration,
    needs_calibration,
)
from exporter.checkpoint import load
from exporter.errors import CheckFailed, OutOfTime
from exporter.filesystem import (
    exclusive,
    explained_os_errors,
    remove_partial_files,
)
from exporter.manifest import EvaluationRecord, Manifest
from exporter.mixing import (
    SEARCHED,
    Budget,
    Chosen,
    budget_precisions,
    check_answers,
    check_budget,
    check_examples,
    choose_mixes,
)
from exporter.model.config import Task
from exporter.planning import PlannedArtifact, choose_artifacts, plan_artifacts
from exporter.progress import Progress, SilentProgress
from exporter.quantization.mix import MIXED
from exporter.verification.evaluation import Evaluator
from exporter.verification.labelled_data import LabelledData
from exporter.verification.report import Check

DEFAULT_TARGETS = ("onnx",)
DEFAULT_FLAVOURS = ("optimized",)

_SILENT = SilentProgress()


@dataclass(frozen=True)
class BuildResult:
    """What a build did, by the artifacts' paths. ``refused`` holds the failed checks.

    An older artifact of a refused path is not in ``manifest``, but for one whose new search ran out
    of time: that says nothing of it.
    """

    bundle: Path
    manifest: Manifest | None
    built: tuple[str, ...]
    kept: tuple[str, ...]
    refused: Mapping[str, tuple[Check, ...]]
    planned: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The document that ``build --json`` prints."""
        return {
            "bundle": str(self.bundle),
            "built": list(self.built),
            "kept": list(self.kept),
            "refused": {p: [asdict(c) for c in checks] for p, checks in self.refused.items()},
            "planned": dict(self.planned),
        }


def build(
    model: str,
    out: Path,
    *,
    targets: Sequence[str] = DEFAULT_TARGETS,
    precisions: Sequence[str] = (),
    flavours: Sequence[str] = DEFAULT_FLAVOURS,
    backends: Sequence[str] = (),
    lengths: Sequence[int] = (),
    task: Task | None = None,
    labels: Sequence[str] | None = None,
    eval_data: Path | None = None,
    eval_limit: int | None = None,
    calibration_data: Path | None = None,
    calibration_limit: int = CALIBRATION_EXAMPLES,
    calibration_seed: int = 0,
    budget: Budget | None = None,
    seed: int = 0,
    force: bool = False,
    dry_run: bool = False,
    command: Sequence[str] = (),
    progress: Progress = _SILENT,
) -> BuildResult:
    """Export ``model`` into the bundle ``out`` and return what was built, kept and refused.

    Without ``precisions`` and ``backends`` each target makes its usual ones. ``lengths`` are
    numbers of tokens, for the flavours that are made for some; () their usual ones. Precisions
    with static activations take their ranges from ``calibration_limit`` texts of
    ``calibration_data``.

    With a ``budget`` every target also gets an artifact of the precision ``mixed``: how each layer
    is computed and stored, a search on ``eval_data`` chooses (``exporter.search``).

    An artifact whose fingerprint and files are those of the manifest is kept, unless ``force``.
    The others are written aside, proved, measured on ``eval_data`` (its first ``eval_limit``
    examples) and moved in, one by one, the manifest after each: an interrupted build leaves
    finished artifacts and is resumed by the same call. An artifact that fails is left out, and so
    is an older one of its path; the rest is finished. ``dry_run`` only plans.

    Raises UserError for input that cannot be used, before anything is written, or when the disk
    or folder refuses.
    """
    old = find_bundle(out, "squeezebert-export")
    asked = precisions if budget is None else budget_precisions(precisions, targets, eval_data)
    specs = choose_artifacts(targets, asked, flavours, backends, lengths)
    check_budget(specs, budget)
    check_calibration(specs, calibration_data)
    with progress.step(f"load {model}"):
        checkpoint = load(model, task=task, labels=labels, seed=seed)
    for spec, target in specs:
        target.check(spec, checkpoint.model)
    evaluator = None
    if eval_data is not None:
        evaluator = Evaluator.open(checkpoint, eval_data, limit=eval_limit)
    if budget is not None and evaluator is not None:
        check_examples(evaluator, budget)
    checkpoint, calibration = calibrated(
        checkpoint, specs, calibration_data, calibration_limit, calibration_seed
    )
    if dry_run:
        known = [item for item in specs if item[0].precision != MIXED]
        plan = plan_artifacts(checkpoint, known, out, old, force=force, mixes={})
        searched = {spec.path: SEARCHED for spec, _ in specs if spec.precision == MIXED}
        return BuildResult(out, old, (), (), {}, {**_reasons(plan), **searched})

    if budget is not None and evaluator is not None:
        check_answers(evaluator, progress)
    built: list[str] = []
    kept: list[str] = []
    refused: dict[str, tuple[Check, ...]] = {}
    with explained_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with exclusive(out):
        # Again: another build may have ended since, and what it finished must not be lost.
        old = find_bundle(out, "squeezebert-export")
        remove_partial_files(out)
        manifest = start_manifest(
            out,
            old,
            checkpoint,
            recipe="squeezebert-export",
            seed=seed,
            command=command,
            precisions=[spec.precision for spec, _ in specs],
            targets=[spec.target for spec, _ in specs],
        )
        for gone in _removed(old, manifest):
            progress.note(f"{gone}: removed, it was made from another model")
        if evaluator is not None:
            manifest = replace(manifest, evaluation=evaluation_record(evaluator.data))
        chosen: Mapping[str, Chosen] = {}
        if budget is not None and evaluator is not None:
            chosen, failed = choose_mixes(
                checkpoint, specs, evaluator, budget, out, progress, calibration
            )
            for path, error in failed.items():
                refused[path] = (Check("search", False, str(error), {}, budget.points),)
                if not isinstance(error, OutOfTime):
                    manifest = refuse(path, out, manifest)
                elif manifest.artifact(path) is not None:  # no verdict, also not of this one
                    progress.note(f"{path}: the artifact of an earlier build stays as it is")
        mixes = {target: found.mix for target, found in chosen.items()}
        specs = tuple(item for item in specs if item[0].path not in refused)
        plan = plan_artifacts(checkpoint, specs, out, old, force=force, mixes=mixes)
        for item in plan:
            path = item.spec.path
            choice = chosen[item.spec.target].record if item.spec.precision == MIXED else None
            try:
                if item.reason is None:
                    checks, manifest = keep(item, out, manifest, evaluator, choice, progress)
                else:
                    progress.note(f"{path}: {item.reason}")
                    data = calibration if needs_calibration(item.spec, item.target) else None
                    checks, manifest = make(item, out, manifest, evaluator, data, choice, progress)
            except CheckFailed as error:
                checks = (Check("runs", False, str(error), {}),)
            failures = tuple(check for check in checks if not check.passed)
            if failures:
                refused[path] = failures
                manifest = refuse(path, out, manifest)
            else:
                (built if item.reason else kept).append(path)
            save(out, manifest)
    return BuildResult(out, manifest, tuple(built), tuple(kept), refused, _reasons(plan))


def _reasons(plan: Sequence[PlannedArtifact]) -> dict[str, str]:
    return {item.spec.path: item.reason or "up to date" for item in plan}


def _removed(old: Manifest | None, new: Manifest) -> list[str]:
    """Artifacts that ``start_manifest`` took out of the bundle."""
    held = [] if old is None else [artifact.path for artifact in old.artifacts]
    return [path for path in held if new.artifact(path) is None]


def evaluation_record(data: LabelledData) -> EvaluationRecord:
    """What the manifest says about the labelled data."""
    return EvaluationRecord(data=data.name, sha256=data.sha256, examples=len(data))
