"""Stock exports: what a user gets without this project. Baselines of the measurements.

They take the ordinary way of PyTorch and ONNX Runtime with its defaults, apart from what is
needed to get a model at all. Nothing is tuned and nothing is gated: each artifact is run, and its
difference to PyTorch is written down as it is.
"""

import hashlib
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

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
from exporter.model.reference import reference_outputs, transformers_model
from exporter.progress import Progress, SilentProgress
from exporter.targets.base import Array, TensorSpec
from exporter.verification.report import Check, GateReport

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT_NAMES: Mapping[Task, tuple[str, ...]] = {
    "sequence-classification": ("logits",),
    "token-classification": ("logits",),
    "question-answering": ("start_logits", "end_logits"),
    "masked-lm": ("logits",),
    "feature-extraction": ("last_hidden_state",),
}
FP32_PATH, INT8_PATH = "onnx/model.onnx", "onnx/model_int8.onnx"

_SILENT = SilentProgress()
_SEED = 0
_OTHERS = "Measure against the other baselines."
_LENGTHS = (1, 8, 33, 128)
_DTYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}


@dataclass(frozen=True)
class _Step:
    path: str
    precision: str
    verb: str
    write: Callable[[Path], None]


def build_baseline(
    model: str,
    out: Path,
    *,
    task: Task | None = None,
    labels: Sequence[str] | None = None,
    seed: int = 0,
    command: Sequence[str] = (),
    progress: Progress = _SILENT,
) -> Manifest:
    """Export ``model`` the stock way into the bundle ``out`` (recipe ``stock``), always afresh.

    Raises UserError for input that cannot be used or a disk that refuses, and CheckFailed when
    the export fails, or ONNX Runtime cannot run what came out or finds values that are not finite
    (the artifacts before it are in the bundle then).
    """
    find_bundle(out, "stock")  # a folder that cannot be used is refused before the work
    with progress.step(f"load {model}"):
        checkpoint = load(model, task=task, labels=labels, seed=seed)
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
        )

        def export(path: Path) -> None:
            export_stock(module, checkpoint, path)

        def quantize(path: Path) -> None:
            quantize_stock(out / FP32_PATH, path)

        steps = (
            _Step(FP32_PATH, "fp32", "torch.onnx.export", export),
            _Step(INT8_PATH, "int8", "quantize_dynamic", quantize),
        )
        for step in steps:
            manifest = _make(out, manifest, checkpoint, module, step, progress)
            save(out, manifest)
    return manifest


def export_stock(module: Any, checkpoint: Checkpoint, path: Path) -> None:
    """``torch.onnx.export`` of transformers' model with dynamic batch and sequence length.

    The defaults of the exporter, except: eager attention (SqueezeBERT knows no other), and the
    weights inside the file rather than beside it.
    """
    config = checkpoint.model.config
    # Sizes above one, so that neither axis is taken for a constant.
    ids = torch.ones(2, min(16, config.max_positions), dtype=torch.int64)
    example = {name: torch.zeros_like(ids) for name in INPUT_NAMES}
    example["attention_mask"] = ids
    batch = torch.export.Dim("batch")
    sequence = torch.export.Dim("sequence", max=config.max_positions)
    with _quietly():
        torch.onnx.export(
            module,
            (),
            str(path),
            kwargs=example,
            input_names=list(INPUT_NAMES),
            output_names=list(OUTPUT_NAMES[checkpoint.model.task]),
            dynamic_shapes={name: {0: batch, 1: sequence} for name in INPUT_NAMES},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def quantize_stock(source: Path, path: Path) -> None:
    """``quantize_dynamic`` with its defaults: int8 weights, one scale a tensor.

    Peers call it the same way: ``optimum-cli onnxruntime quantize --arm64`` (or ``--avx512``)
    takes QInt8 weights and, without ``--per_channel``, one scale a tensor; optimum's Python
    configuration takes one a channel.

    The shapes that the exporter noted inside the graph are removed first: with them the quantizer
    stops at "Inferred shape and existing shape differ".
    """
    model = onnx.load(source)
    del model.graph.value_info[:]
    with _quietly():
        quantize_dynamic(model, path, weight_type=QuantType.QInt8)


def compare_stock(
    module: Any, session: onnxruntime.InferenceSession, checkpoint: Checkpoint
) -> Check:
    """Run the artifact beside transformers' model; the check says how far apart they are.

    Inputs are random token ids at several lengths, the second row half padding. There is no
    tolerance: a stock artifact fails only when it cannot run or gives values that are not finite.
    ``cosine`` is the smallest between the outputs centred by row (over all values for outputs with
    one value a token): plain cosines are near one even for wrong logits.
    """
    config, task = checkpoint.model.config, checkpoint.model.task
    generator = torch.Generator().manual_seed(_SEED)
    difference, cosine, finite = 0.0, 1.0, True
    for length in sorted({min(length, config.max_positions) for length in _LENGTHS}):
        ids = torch.randint(0, config.vocab_size, (2, length), generator=generator)
        mask = torch.ones_like(ids)
        mask[1, (length + 1) // 2 :] = 0
        types = torch.zeros_like(ids)
        expected, _ = reference_outputs(module, ids, mask, types)
        feed = {
            name: tensor.numpy()
            for name, tensor in zip(INPUT_NAMES, (ids, mask, types), strict=True)
        }
        names = OUTPUT_NAMES[task]  # BERT without a head has its pooler as a second output
        for name, found in zip(names, session.run(list(names), feed), strict=True):
            wanted = expected[name].numpy()
            finite = finite and bool(np.isfinite(found).all())
            difference = max(difference, float(np.abs(found - wanted).max()))
            cosine = min(cosine, _centred_cosine(found, wanted))
    return Check(
        name="outputs",
        passed=finite,
        detail=(
            f"runs; largest difference to PyTorch {difference:.2e}, smallest centred cosine "
            f"{cosine:.5f} (no tolerance: a stock artifact promises nothing)"
            if finite
            else "gives values that are not finite"
        ),
        measured={"max_abs_diff": difference, "centred_cosine": cosine},
    )


def _make(
    out: Path,
    manifest: Manifest,
    checkpoint: Checkpoint,
    module: Any,
    step: _Step,
    progress: Progress,
) -> Manifest:
    with partial_folder(out) as folder:
        path = folder / Path(step.path).name
        with progress.step(f"{step.path}: {step.verb}"), explained_os_errors(out / step.path):
            try:
                step.write(path)
            except (OSError, ExportError):
                raise
            except Exception as error:  # the exporter's and the quantizer's, without common base
                raise CheckFailed(
                    f"{step.verb} cannot make the stock {step.precision} export: "
                    f"{_first_line(error)}",
                    _OTHERS,
                ) from error
        with progress.step(f"{step.path}: run"):
            try:
                session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
                check = compare_stock(module, session, checkpoint)
            except Exception as error:  # onnxruntime raises a dozen types without a common base
                raise CheckFailed(
                    f"ONNX Runtime cannot run the stock {step.precision} export: "
                    f"{_first_line(error)}",
                    _OTHERS,
                ) from error
        if not check.passed:
            raise CheckFailed(f"The stock {step.precision} export {check.detail}.", _OTHERS)
        record = ArtifactRecord(
            path=step.path,
            target="onnx",
            flavour="stock",
            precision=step.precision,
            bytes=0,
            sha256="",
            files=(),
            fingerprint=_fingerprint(checkpoint, step),
            inputs=tuple(_tensor(value) for value in session.get_inputs()),
            outputs=tuple(_tensor(value) for value in session.get_outputs()),
            verification=GateReport((check,)).as_dict(),
            coverage=None,
            accuracy=None,
        )
        move_into_place(path, out / step.path)
    return manifest.with_artifact(artifact_record(out, record, [out / step.path]))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{lines[0].rstrip('.') if lines else type(error).__name__}."


def _fingerprint(checkpoint: Checkpoint, step: _Step) -> str:
    parts = [checkpoint.source_hash, step.path, step.precision, versions()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tensor(value: onnxruntime.NodeArg) -> TensorSpec:
    return TensorSpec(value.name, _DTYPES[value.type], tuple(value.shape))


def _centred_cosine(found: Array, wanted: Array) -> float:
    axis = -1 if found.ndim == 3 or found.shape[-1] > 2 else None
    found, wanted = (values - values.mean(axis=axis, keepdims=True) for values in (found, wanted))
    scale = np.linalg.norm(found) * np.linalg.norm(wanted)
    return float((found * wanted).sum() / scale) if scale > 0 else math.nan


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings about torchvision, axis names and pre-processing: none concerns us."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
