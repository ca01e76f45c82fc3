"""Stock exports: what a user gets without this project. Baselines of the measurements.

They take the ordinary way of PyTorch and of each runtime with its defaults, apart from what is
needed to get a model at all. Nothing is tuned and nothing is gated: each artifact is run, and its
difference to PyTorch is written down as it is.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exporter.baselines.base import StockArtifact, require_targets, stock_artifacts
from exporter.baselines.comparison import compare_stock
from exporter.bundle_folder import artifact_record, find_bundle, save, start_manifest, versions
from exporter.checkpoint import Checkpoint, load
from exporter.errors import CheckFailed, ExportError
from exporter.filesystem import (
    exclusive,
    explained_os_errors,
    move_into_place,
    partial_folder,
    remove_partial_files,
)
from exporter.manifest import ArtifactRecord, Manifest
from exporter.model.config import Task
from exporter.model.reference import transformers_model
from exporter.progress import Progress, SilentProgress
from exporter.quiet import quietly
from exporter.verification.report import GateReport

DEFAULT_TARGETS = ("onnx",)

_SILENT = SilentProgress()
_OTHERS = "Measure against the other baselines."


def build_baseline(
    model: str,
    out: Path,
    *,
    targets: Sequence[str] = DEFAULT_TARGETS,
    task: Task | None = None,
    labels: Sequence[str] | None = None,
    seed: int = 0,
    command: Sequence[str] = (),
    progress: Progress = _SILENT,
) -> Manifest:
    """Export ``model`` the stock way into the bundle ``out`` (recipe ``stock``), always afresh.

    Artifacts of other targets that the bundle has of the same model stay. Raises UserError for
    input that cannot be used or a disk that refuses, and CheckFailed when the export fails, or the
    runtime cannot run what came out or finds values that are not finite (the artifacts before it
    are in the bundle then).
    """
    targets = require_targets(targets)
    find_bundle(out, "stock")  # a folder that cannot be used is refused before the work
    with progress.step(f"load {model}"):
        checkpoint = load(model, task=task, labels=labels, seed=seed)
        with quietly():  # transformers imports every library that it knows
            module = transformers_model(checkpoint.model)
    with explained_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with exclusive(out):
        old = find_bundle(out, "stock")  # now that nobody else writes
        remove_partial_files(out)
        manifest = start_manifest(
            out,
            old,
            checkpoint,
            recipe="stock",
            seed=seed,
            command=command,
            precisions=["fp32", "int8"],
            targets=targets,
        )
        for target in targets:
            for artifact in stock_artifacts(target, module, checkpoint, out, progress):
                manifest = _make(out, manifest, checkpoint, module, artifact, progress)
                save(out, manifest)
    return manifest


def _make(
    out: Path,
    manifest: Manifest,
    checkpoint: Checkpoint,
    module: Any,
    artifact: StockArtifact,
    progress: Progress,
) -> Manifest:
    what = f"the {artifact.flavour} {artifact.precision} export"
    place = out / artifact.path
    with partial_folder(out) as folder:
        path = folder / place.name
        with progress.step(f"{artifact.path}: {artifact.verb}"), explained_os_errors(place):
            try:
                kept = artifact.write(path)
            except (OSError, ExportError):
                raise
            except Exception as error:  # the exporter's and the quantizer's, without common base
                raise CheckFailed(
                    f"{artifact.verb} cannot make {what}: {_first_line(error)}", _OTHERS
                ) from error
        with progress.step(f"{artifact.path}: run"):
            try:
                session = artifact.open(path)
                check = compare_stock(module, session.run, checkpoint, kept)
            except Exception as error:  # runtimes raise a dozen types without a common base
                raise CheckFailed(
                    f"{artifact.runtime} cannot run {what}: {_first_line(error)}", _OTHERS
                ) from error
        if not check.passed:
            raise CheckFailed(f"{what.capitalize()} {check.detail}.", _OTHERS)
        record = ArtifactRecord(
            path=artifact.path,
            target=artifact.target,
            flavour=artifact.flavour,
            precision=artifact.precision,
            bytes=0,
            sha256="",
            files=(),
            fingerprint=_fingerprint(checkpoint, artifact),
            inputs=session.inputs,
            outputs=session.outputs,
            verification=GateReport((check,)).as_dict(),
            coverage=None,
            accuracy=None,
        )
        move_into_place(path, place)
    return manifest.with_artifact(artifact_record(out, record, [place]))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{lines[0].rstrip('.') if lines else type(error).__name__}."


def _fingerprint(checkpoint: Checkpoint, artifact: StockArtifact) -> str:
    parts = [checkpoint.source_hash, artifact.path, artifact.precision, versions()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
