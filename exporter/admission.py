"""Lets artifacts into a bundle: each is written, proved and measured, and only then moved in."""

import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from exporter.bundle_folder import (
    artifact_metadata,
    artifact_record,
    origin_metadata,
    remove_artifact_files,
    save,
)
from exporter.errors import CheckFailed, UserError
from exporter.filesystem import explained_os_errors, move_into_place, partial_folder
from exporter.manifest import (
    ArtifactRecord,
    CalibrationRecord,
    ChoiceRecord,
    Manifest,
    with_accuracy,
)
from exporter.planning import PlannedArtifact
from exporter.progress import Progress
from exporter.targets.base import Coverage
from exporter.verification.accuracy import Accuracy
from exporter.verification.evaluation import Evaluator
from exporter.verification.gate import prove
from exporter.verification.report import Check, GateReport


def make(
    item: PlannedArtifact,
    out: Path,
    manifest: Manifest,
    evaluator: Evaluator | None,
    calibration: CalibrationRecord | None,
    choice: ChoiceRecord | None,
    progress: Progress,
) -> tuple[tuple[Check, ...], Manifest]:
    """Write, prove and measure one artifact; the manifest has it only when all checks pass.

    ``calibration`` are the texts that it takes ranges from, ``choice`` is how a search chose its
    methods, where it does and one did.
    """
    spec, target, checkpoint = item.spec, item.target, item.checkpoint
    # A folder of its own, not a temporary name: the artifact's files refer to each other by name.
    with partial_folder(out) as folder:
        path = folder / Path(spec.path).name
        with progress.step(f"{spec.path}: write"), explained_os_errors(out / spec.path):
            try:
                metadata = artifact_metadata(checkpoint, spec.precision, spec.flavour)
                target.write(checkpoint.model, spec, path, metadata)
            except UserError as error:  # such as weights beyond fp16: the other artifacts may do
                return (Check("write", False, str(error), {}),), manifest
        checks, coverage, accuracy = _examine(item, path, evaluator, choice, progress)
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
            choice=_with_mix(choice, item),
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
    evaluator: Evaluator | None,
    choice: ChoiceRecord | None,
    progress: Progress,
) -> tuple[tuple[Check, ...], Coverage, Accuracy | None]:
    """The gate's checks of a written artifact and, when they pass, its accuracy."""
    spec, checkpoint, accuracy = item.spec, item.checkpoint, None
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
                checks = (*checks, _judged(accuracy, item, evaluator, choice, progress))
        except UserError as error:
            # The user's input was fine so far: what cannot be opened or run here is our artifact.
            raise CheckFailed(error.message, error.next_step) from error
    return checks, coverage, accuracy


def keep(
    item: PlannedArtifact,
    out: Path,
    manifest: Manifest,
    evaluator: Evaluator | None,
    choice: ChoiceRecord | None,
    progress: Progress,
) -> tuple[tuple[Check, ...], Manifest]:
    """Leave an artifact as it is; measure its accuracy if that was not done on this data.

    ``choice`` is how the search of this build came to it, where one did: its accuracy is judged
    again, by the budget of this search.
    """
    record = manifest.artifact(item.spec.path)
    if record is None:  # pragma: no cover - planned from the same manifest
        raise ValueError(f"{item.spec.path} is planned as kept and not in the manifest")
    progress.note(f"{record.path}: up to date")
    record = replace(record, choice=_with_mix(choice, item))
    if evaluator is None or (record.choice is None and evaluator.measured(record.accuracy)):
        return (), manifest.with_artifact(record)
    accuracy = _accuracy(item, record, out, evaluator, progress)
    check = _judged(accuracy, item, evaluator, record.choice, progress)
    others = [c for c in record.verification["checks"] if c["name"] != check.name]
    verification = {
        "passed": bool(record.verification["passed"]) and check.passed,
        "checks": [*others, asdict(check)],
    }
    record = replace(record, verification=verification)
    record = with_accuracy(record, evaluator.record(accuracy))
    return (check,), manifest.with_artifact(record)


def _accuracy(
    item: PlannedArtifact,
    record: ArtifactRecord,
    out: Path,
    evaluator: Evaluator,
    progress: Progress,
) -> Accuracy:
    """Of an artifact in the bundle: as it was measured on these examples, or measured now."""
    if record.accuracy is not None and evaluator.measured(record.accuracy):
        return Accuracy.from_dict(record.accuracy)
    with progress.step(f"{record.path}: accuracy") as detail:
        path = out / record.path
        longest = item.target.limit(path)
        session = item.target.open(path)
        return evaluator.measure(session, record.precision, detail, longest=longest)


def _judged(
    accuracy: Accuracy,
    item: PlannedArtifact,
    evaluator: Evaluator,
    choice: ChoiceRecord | None,
    progress: Progress,
) -> Check:
    """By the budget of ``choice``, which may be another than the last time, or the precision's
    limits."""
    budget = None if choice is None else choice.budget
    check = evaluator.check(accuracy, item.spec.precision, budget)
    if check.passed and budget is not None and accuracy.loss > budget:
        progress.note(f"{item.spec.path}: {check.detail}")
    return check


def _with_mix(choice: ChoiceRecord | None, item: PlannedArtifact) -> ChoiceRecord | None:
    """``choice`` with the hash of the mix that the artifact is built by."""
    mix = item.checkpoint.model.mix
    if choice is None or mix is None:
        return choice
    return replace(choice, mix_sha256=mix.sha256)


def refuse(path: str, out: Path, manifest: Manifest) -> Manifest:
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
