"""Proving again what lies in a bundle, without changing it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from exporter.bundle_folder import (
    model_record,
    origin_metadata,
    shared_file_differences,
)
from exporter.calibration import calibrated, uncalibrated
from exporter.checkpoint import Checkpoint, load
from exporter.errors import CheckFailed, ExportError, UserError
from exporter.manifest import ArtifactRecord, Manifest
from exporter.manifest_file import changed_files, read_manifest
from exporter.model.config import Task
from exporter.progress import Progress, SilentProgress
from exporter.quantization.mix import MIXED
from exporter.targets.base import ArtifactSpec, find_target
from exporter.verification.gate import prove
from exporter.verification.report import Check, GateReport
from exporter.verification.stored_mix import mix_check, stored_mix

_SILENT = SilentProgress()
_SHARED_FILES = "shared files"


@dataclass(frozen=True)
class Verification:
    """The findings on a bundle: a report for each artifact and for the shared files.

    ``not_checked`` says of artifacts that could not be proved what is missing for it.
    """

    bundle: Path
    reports: Mapping[str, GateReport]
    not_checked: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every artifact was checked, and every check passed."""
        return not self.failed and not self.not_checked

    @property
    def failed(self) -> bool:
        """Whether a check of an artifact failed."""
        return not all(report.passed for report in self.reports.values())

    @property
    def gated(self) -> bool:
        """Whether the gate ran: stock exports promise nothing, and only their files are checked."""
        checks = [check.name for report in self.reports.values() for check in report.checks]
        return "layer parity" in checks

    def as_dict(self) -> dict[str, Any]:
        """The document that ``verify --json`` prints."""
        return {
            "bundle": str(self.bundle),
            "passed": self.passed,
            "not_checked": dict(self.not_checked),
            "reports": {name: report.as_dict() for name, report in self.reports.items()},
        }


def verify(
    bundle: Path,
    *,
    source: str | None = None,
    calibration_data: Path | None = None,
    progress: Progress = _SILENT,
) -> Verification:
    """Hash every file of the bundle again and run the full gate of every artifact again.

    The manifest is not trusted: what it says of the model, and the configuration and tokenizer
    beside it, are made again from the model and compared.

    ``source`` is the model that the bundle was made from, by default the one that the manifest
    names. Raises UserError when the bundle or the model cannot be read, and CheckFailed when the
    model is another one than the bundle was made from.

    ``calibration_data`` is the file that static ranges of activations were taken from: without it,
    an artifact that has such ranges is not checked. UserError for another file.

    Stock baselines promise nothing: of them only the files are checked.
    """
    manifest = read_manifest(bundle)
    missing = uncalibrated(manifest, calibration_data)
    for path, cause in missing.items():
        progress.note(f"{path}: will not be proved. {cause}")
    shared = [_files_check(changed_files(bundle, manifest.files))]
    checkpoint = None
    if manifest.recipe != "stock":
        checkpoint = load_source(manifest, source, progress)
        shared += [_origin_check(bundle, checkpoint), _manifest_check(manifest, checkpoint)]
    reports = {_SHARED_FILES: GateReport(tuple(shared))}
    for record in manifest.artifacts:
        source_model = None if record.path in missing else checkpoint
        reports[record.path] = _verify_artifact(
            bundle, record, source_model, calibration_data, progress
        )
    return Verification(bundle, reports, missing)


def load_source(manifest: Manifest, source: str | None, progress: Progress) -> Checkpoint:
    """The checkpoint that the bundle was made from.

    Raises UserError when it cannot be loaded and CheckFailed when its content is another one.
    """
    model = manifest.model
    name = model.source if source is None else source
    task = cast(Task, model.task)
    try:
        with progress.step(f"load {name}"):
            checkpoint = load(name, task=task, labels=manifest.labels, seed=model.seed)
    except UserError as error:
        if _is_source_by_itself(manifest, name, task):
            raise CheckFailed(
                f"The manifest's task or labels are not those of '{name}': {error.message}",
                "Build the bundle again.",
            ) from error
        if source is not None:
            raise
        raise UserError(
            f"The bundle's model '{name}' cannot be loaded: {error.message}",
            "Name it with --source MODEL.",
        ) from error
    if checkpoint.source_hash != model.source_hash:
        raise CheckFailed(
            f"'{name}' is not the model that the bundle was made from: its hash is "
            f"{checkpoint.source_hash[:12]}, the manifest says {model.source_hash[:12]}.",
            "Name the right one with --source MODEL, or build the bundle again.",
        )
    return checkpoint


def _verify_artifact(
    bundle: Path,
    record: ArtifactRecord,
    checkpoint: Checkpoint | None,
    calibration_data: Path | None,
    progress: Progress,
) -> GateReport:
    """Its files' hashes and, against ``checkpoint`` if there is one, the gate."""
    files = _files_check(changed_files(bundle, record.files))
    if not files.passed or checkpoint is None:
        return GateReport((files,))
    spec = _spec(record)
    target, path = find_target(record.target), bundle / record.path
    try:
        checkpoint = _calibrated(record, checkpoint, calibration_data)
        known = [files]
        if record.precision == MIXED:
            mix = stored_mix(target, path, record.precision, checkpoint.model)
            checkpoint = replace(checkpoint, model=replace(checkpoint.model, mix=mix))
            chosen = None if record.choice is None else record.choice.mix_sha256
            known.append(mix_check(mix, chosen))
        with progress.step(record.path) as detail:
            report, _ = prove(
                target,
                spec,
                path,
                checkpoint.model,
                metadata=origin_metadata(checkpoint),
                progress=detail,
            )
    except ExportError as error:
        return GateReport((files, Check("runs", False, str(error), {})))
    return GateReport((*known, *report.checks))


def _calibrated(record: ArtifactRecord, checkpoint: Checkpoint, data: Path | None) -> Checkpoint:
    """``checkpoint`` with the texts that the artifact took its ranges from, if it took some."""
    if record.calibration is None:
        return checkpoint
    specs = ((_spec(record), find_target(record.target)),)
    taken = record.calibration
    return calibrated(checkpoint, specs, data, taken.examples, taken.seed)[0]


def _spec(record: ArtifactRecord) -> ArtifactSpec:
    return ArtifactSpec(
        record.target,
        record.precision,
        record.flavour,
        record.path,
        record.backend,
        record.lengths,
    )


def _is_source_by_itself(manifest: Manifest, name: str, task: Task) -> bool:
    """Whether ``name`` is the bundle's model once the manifest's labels, or task, are left out."""
    for known in (task, None):
        try:
            found = load(name, task=known, seed=manifest.model.seed)
        except UserError:
            continue
        if found.source_hash == manifest.model.source_hash:
            return True
    return False


def _origin_check(bundle: Path, checkpoint: Checkpoint) -> Check:
    """Config and tokenizer are what the model gives, whatever hashes the manifest has."""
    problems = shared_file_differences(bundle, checkpoint)
    detail = "; ".join(problems) or "config and tokenizer are those of the model, byte for byte"
    return Check("origin", not problems, detail, {"different": float(len(problems))}, 0.0)


def _manifest_check(manifest: Manifest, checkpoint: Checkpoint) -> Check:
    """Labels, tokenizer and every fact about the model are those of ``checkpoint``."""
    said = manifest.model
    found = replace(
        model_record(checkpoint, said.seed),
        # A copy elsewhere (--source) has another name and may have another card, or none.
        source=said.source,
        hub_id=said.hub_id,
        licence=said.licence,
        datasets=said.datasets,
        languages=said.languages,
    )
    wrong = [name for name, value in asdict(found).items() if asdict(said)[name] != value]
    if manifest.labels != checkpoint.model.labels:
        wrong.append("labels")
    tokenizer = (checkpoint.tokenizer_hash, tuple(sorted(checkpoint.tokenizer_files)))
    if (manifest.tokenizer.hash, manifest.tokenizer.files) != tokenizer:
        wrong.append("tokenizer")
    detail = "labels, tokenizer and sizes are those of the model"
    if wrong:
        detail = f"{', '.join(wrong)}: not as the model has it"
    return Check("manifest", not wrong, detail, {"wrong": float(len(wrong))}, 0.0)


def _files_check(problems: tuple[str, ...]) -> Check:
    detail = "; ".join(problems) or "sizes and SHA-256 are those of the manifest"
    return Check("files", not problems, detail, {"changed": float(len(problems))}, 0.0)
