"""From a checkpoint to a bundle: every artifact is written, proved, measured, then let in.

from exporter.bundle import build
result = build("example:intents", Path("out/intents"), precisions=("fp32", "int8"))
assert not result.refused
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from exporter.bundle_folder import (
    artifact_metadata,
    artifact_record,
    find_bundle,
    origin_metadata,
    remove_artifact_files,
    save,
    start_manifest,
)
from exporter.calibration import (
    CALIBRATION_EXAMPLES,
    calibrated,
    check_calibration,
    needs_calibration,
)
from exporter.checkpoint import Checkpoint, load
from exporter.errors import CheckFailed, UserError
from exporter.filesystem import (
    exclusive,
    explained_os_errors,
    move_into_place,
    partial_folder,
    remove_partial_files,
)
from exporter.manifest import ArtifactRecord, EvaluationRecord, Manifest
from exporter.model.config import Task
from exporter.planning import PlannedArtifact, choose_artifacts, plan_artifacts
from exporter.progress import Progress, SilentProgress
from exporter.targets.base import Coverage
from exporter.verification.accuracy import Accuracy
from exporter.verification.evaluation import Evaluator
from exporter.verification.gate import prove
from exporter.verification.labelled_data import LabelledData
from exporter.verification.report import Check, GateReport

DEFAULT_TARGETS = ("onnx",)
DEFAULT_FLAVOURS = ("optimized",)

_SILENT = SilentProgress()


@dataclass(frozen=True)
class BuildResult:
    """What a build did, by the artifacts' paths. ``refused`` holds the failed checks."""

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
    seed: int = 0,
    force: bool = False,
    dry_run: bool = False,
    command: Sequence[str] = (),
    progress: Progress = _SILENT,
) -> BuildResult:
    """Export ``model`` into the bundle ``out`` and return what was built, kept and refused.

    Without ``precisions`` and ``backends`` each target makes its usual ones. ``lengths`` are
    numbers of tokens, for the flavours that are made for some; () their usual ones. Precisions
    with static activations take their ranges from the first ``calibration_limit`` texts of
    ``calibration_data``.

    An artifact whose fingerprint and files are those of the manifest is kept, unless ``force``.
    The others are written aside, proved, measured on ``eval_data`` (its first ``eval_limit``
    examples) and moved in, one by one, the manifest after each: an interrupted build leaves
    finished artifacts and is resumed by the same call. An artifact that fails is left out, and so
    is an older one of its path; the rest is finished. ``dry_run`` only plans.

    Raises UserError for input that cannot be used, before anything is written, or when the disk
    or folder refuses.
    """
    old = find_bundle(out, "squeezebert-export")
    specs = choose_artifacts(targets, precisions, flavours, backends, lengths)
    check_calibration(specs, calibration_data)
    with progress.step(f"load {model}"):
        checkpoint = load(model, task=task, labels=labels, seed=seed)
    for spec, target in specs:
        target.check(spec, checkpoint.model)
    evaluator = None
    if eval_data is not None:
        evaluator = Evaluator.open(checkpoint, eval_data, limit=eval_limit)
    checkpoint, calibration = calibrated(checkpoint, specs, calibration_data, calibration_limit)
    if dry_run:
        plan = plan_artifacts(checkpoint, specs, out, old, force=force)
        return BuildResult(out, old, (), (), {}, _reasons(plan))

    built: list[str] = []
    kept: list[str] = []
    refused: dict[str, tuple[Check, ...]] = {}
    with explained_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with exclusive(out):
        # Again: another build may have ended since, and what it finished must not be lost.
        old = find_bundle(out, "squeezebert-export")
        plan = plan_artifacts(checkpoint, specs, out, old, force=force)
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
        for item in plan:
            path = item.spec.path
            try:
                if item.reason is None:
                    checks, manifest = _keep(item, out, manifest, evaluator, progress)
                else:
                    progress.note(f"{path}: {item.reason}")
                    data = calibration if needs_calibration(item.spec, item.target) else None
                    checks, manifest = _make(
                        item, checkpoint, out, manifest, evaluator, data, progress
                    )
            except CheckFailed as error:
                checks = (Check("runs", False, str(error), {}),)
            failures = tuple(check for check in checks if not check.passed)
            if failures:
                refused[path] = failures
                manifest = _refuse(path, out, manifest)
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


def _make(
    item: PlannedArtifact,
    checkpoint: Checkpoint,
    out: Path,
    manifest: Manifest,
    evaluator: Evaluator | None,
    calibration: EvaluationRecord | None,
    progress: Progress,
) -> tuple[tuple[Check, ...], Manifest]:
    """Write, prove and measure one artifact; the manifest has it only when all checks pass."""
    spec, target = item.spec, item.target
    # A folder of its own, not a temporary name: the artifact's files refer to each other by name.
    with partial_folder(out) as folder:
        path = folder / Path(spec.path).name
        with progress.step(f"{spec.path}: write"), explained_os_errors(out / spec.path):
            try:
                metadata = artifact_metadata(checkpoint, spec.precision, spec.flavour)
                target.write(checkpoint.model, spec, path, metadata)
            except UserError as error:  # such as weights beyond fp16: the other artifacts may do
                return (Check("write", False, str(error), {}),), manifest
        checks, coverage, accuracy = _examine(item, path, checkpoint, evaluator, progress)
        report = GateReport(checks)
        if not report.passed:
            return checks or (Check("gate", False, "no check ran", {}, None),), manifest
        with explained_os_errors(out / spec.path):
            target.finish(path, checkpoint.model, report.summary())
        inputs, outputs = target.declared(path)
        record = ArtifactRecord(
            path=spec.path,
            target=spec.target,
            flavour=spec.flavour,
            precision=spec.precision,
            bytes=0,
            sha256="",
            files=(),
            fingerprint=item.fingerprint,
            inputs=inputs,
            outputs=outputs,
            verification=report.as_dict(),
            coverage=asdict(coverage),
            accuracy=None if accuracy is None or evaluator is None else evaluator.record(accuracy),
            backend=spec.backend,
            lengths=target.lengths(path) or spec.lengths,
            not_run=target.not_run(spec),
            command=manifest.command,
            calibration=calibration,
            facts=target.facts(path),
        )
        names = [file.relative_to(folder) for file in target.files(path)]
        place = (out / spec.path).parent
        for entry in _main_last(folder, path):
            move_into_place(entry, place / entry.name)
    record = artifact_record(out, record, [place / name for name in names])
    old = manifest.artifact(spec.path)
    if old is not None:
        gone = {file.path for file in old.files} - {file.path for file in record.files}
        for leftover in gone:
            (out / leftover).unlink(missing_ok=True)
    return checks, manifest.with_artifact(record)


def _examine(
    item: PlannedArtifact,
    path: Path,
    checkpoint: Checkpoint,
    evaluator: Evaluator | None,
    progress: Progress,
) -> tuple[tuple[Check, ...], Coverage, Accuracy | None]:
    """The gate's checks of a written artifact and, when they pass, its accuracy."""
    spec, accuracy = item.spec, None
    # Around it all: no room for the twin is the disk's refusal, not the artifact's.
    with explained_os_errors(Path(tempfile.gettempdir())):
        try:
            with progress.step(f"{spec.path}: prove") as detail:
                report, coverage = prove(
                    item.target,
                    spec,
                    path,
                    checkpoint.model,
                    metadata=origin_metadata(checkpoint),
                    progress=detail,
                )
            checks = report.checks
            if report.passed and evaluator is not None:
                with progress.step(f"{spec.path}: accuracy") as detail:
                    accuracy = evaluator.measure(
                        item.target.open(path),
                        spec.precision,
                        detail,
                        longest=item.target.limit(path),
                    )
                checks = (*checks, evaluator.check(accuracy, spec.precision))
        except UserError as error:
            # The user's input was fine so far: what cannot be opened or run here is our artifact.
            raise CheckFailed(error.message, error.next_step) from error
    return checks, coverage, accuracy


def _keep(
    item: PlannedArtifact,
    out: Path,
    manifest: Manifest,
    evaluator: Evaluator | None,
    progress: Progress,
) -> tuple[tuple[Check, ...], Manifest]:
    """Leave an artifact as it is; measure its accuracy if that was not done on this data."""
    record = manifest.artifact(item.spec.path)
    if record is None:  # pragma: no cover - planned from the same manifest
        raise ValueError(f"{item.spec.path} is planned as kept and not in the manifest")
    progress.note(f"{record.path}: up to date")
    if evaluator is None or evaluator.measured(record.accuracy):
        return (), manifest
    with progress.step(f"{record.path}: accuracy") as detail:
        path = out / record.path
        longest = item.target.limit(path)
        session = item.target.open(path)
        accuracy = evaluator.measure(session, record.precision, detail, longest=longest)
    check = evaluator.check(accuracy, record.precision)
    others = [c for c in record.verification["checks"] if c["name"] != check.name]
    verification = {
        "passed": bool(record.verification["passed"]) and check.passed,
        "checks": [*others, asdict(check)],
    }
    record = replace(record, accuracy=evaluator.record(accuracy), verification=verification)
    return (check,), manifest.with_artifact(record)


def _refuse(path: str, out: Path, manifest: Manifest) -> Manifest:
    """Take the artifact at ``path``, which an earlier build let in, out of the bundle."""
    old = manifest.artifact(path)
    if old is None:
        return manifest
    manifest = manifest.without_artifact(path)
    save(out, manifest)  # first: a manifest must never name files that are gone
    remove_artifact_files(out, old)
    return manifest


def _main_last(folder: Path, main: Path) -> list[Path]:
    """Entries of ``folder`` in the order of moving: the file that refers to the others last."""
    return sorted(folder.iterdir(), key=lambda entry: (entry == main, entry.name))
