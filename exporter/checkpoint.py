"""Finds and loads the model to export: Hub id, local folder, shipped example, or architecture."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.checkpoint_files import CheckpointFiles, download, read_folder
from exporter.checkpoint_task import (
    MNLI_LABELS,
    PINNED,
    check_given_labels,
    resolve_labels,
    resolve_task,
)
from exporter.errors import UserError
from exporter.model.config import TASKS, EncoderConfig, SourceModel, Task, architecture
from exporter.model.random import seeded_weights
from exporter.model.weights import from_hugging_face
from exporter.tokenizer import complete_files, generated_files, maximum_length

#: Named architectures: the sizes of the published models with random weights. The vocabulary of
#: SqueezeBERT has 30528 rows as in the official checkpoints (30522 pieces, rounded up to 8).
RANDOM_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "random:squeezebert-base": {"model_type": "squeezebert", "vocab_size": 30528},
    "random:bert-base": {"model_type": "bert"},
}

_CLASSIFICATION: tuple[Task, ...] = ("sequence-classification", "token-classification")
_EXAMPLE_PREFIX = "example:"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class Checkpoint:
    """A model to export with everything that goes into its bundle.

    ``name`` is what the user gave; ``class_name`` transformers' class for the task;
    ``config_json`` the configuration for the bundle. ``max_length`` is the smaller of the
    position table and the tokenizer's own limit, in tokens. The hashes are SHA-256 in hexadecimal;
    ``source_hash`` covers configuration, task, labels, every weight and the tokenizer.
    ``ignored_tensors`` are the checkpoint's names that the task does not use.
    """

    name: str
    model: SourceModel
    class_name: str
    config_json: Mapping[str, Any]
    tokenizer_files: Mapping[str, bytes]
    max_length: int
    source_hash: str
    tokenizer_hash: str
    trained: bool
    licence: str | None
    datasets: tuple[str, ...]
    languages: tuple[str, ...]
    ignored_tensors: tuple[str, ...]


def load(
    model: str, *, task: Task | None = None, labels: Sequence[str] | None = None, seed: int = 0
) -> Checkpoint:
    """Load a checkpoint for ``task`` (by default the one it was made for).

    ``model`` is a Hub id, a local folder, ``example:NAME`` or one of ``RANDOM_ARCHITECTURES``,
    whose weights depend on ``seed``. ``labels`` names the outputs of a classifier in their order;
    it is needed where the checkpoint does not say.

    Raises UserError for everything that cannot be used: see ``checkpoint_files``,
    ``EncoderConfig.from_hugging_face``, ``weights.from_hugging_face`` and ``tokenizer``.
    """
    if task is not None and task not in TASKS:
        raise UserError(f"Unknown task '{task}'.", f"Choose from: {', '.join(TASKS)}.")
    if labels is not None:
        check_given_labels(labels)
    if model.startswith("random:"):
        return _load_random(model, task or "sequence-classification", labels, seed)
    folder = _local_folder(model)
    pinned = PINNED.get(model) if folder is None else None
    files = read_folder(download(model) if folder is None else folder)
    config = EncoderConfig.from_hugging_face(files.config)
    chosen = resolve_task(files, config.family, task, pinned)
    weights, ignored = from_hugging_face(files.state, config, chosen)
    names = None
    if chosen in _CLASSIFICATION:
        outputs = weights["head.classifier.weight"].shape[0]
        names = resolve_labels(files.config, pinned, labels, outputs)
    elif labels is not None:
        raise UserError(f"The task {chosen} has no labels.", "Leave out --labels.")
    source = SourceModel(config, chosen, names, weights)
    return _checkpoint(model, source, files, ignored, trained=True)


def _load_random(model: str, task: Task, labels: Sequence[str] | None, seed: int) -> Checkpoint:
    if model not in RANDOM_ARCHITECTURES:
        raise UserError(
            f"Unknown architecture '{model}'.", f"Choose from: {', '.join(RANDOM_ARCHITECTURES)}."
        )
    config = EncoderConfig.from_hugging_face(RANDOM_ARCHITECTURES[model])
    names = tuple(labels or MNLI_LABELS) if task in _CLASSIFICATION else None
    if names is None and labels is not None:
        raise UserError(f"The task {task} has no labels.", "Leave out --labels.")
    weights = seeded_weights(config, task, len(names or ()), seed)
    source = SourceModel(config, task, names, weights)
    tokenizer = generated_files(config.max_positions)
    files = CheckpointFiles(config.to_hugging_face(task, names), {}, tokenizer, licence=None)
    return _checkpoint(model, source, files, (), trained=False)


def _checkpoint(
    name: str, source: SourceModel, files: CheckpointFiles, ignored: tuple[str, ...], trained: bool
) -> Checkpoint:
    config = source.config
    tokenizer = complete_files(files.tokenizer, config.vocab_size, config.max_positions)
    limit = maximum_length(tokenizer)
    config_json = _bundle_config(files.config, source)
    tokenizer_hash = hash_files(tokenizer)
    return Checkpoint(
        name=name,
        model=source,
        class_name=architecture(config.family, source.task),
        config_json=config_json,
        tokenizer_files=tokenizer,
        max_length=config.max_positions if limit is None else min(limit, config.max_positions),
        source_hash=_hash_source(source, config_json, tokenizer_hash),
        tokenizer_hash=tokenizer_hash,
        trained=trained,
        licence=files.licence,
        datasets=files.datasets,
        languages=files.languages,
        ignored_tensors=ignored,
    )


def _local_folder(model: str) -> Path | None:
    """The folder that ``model`` names on this machine; None when it is a Hub id."""
    if model.startswith(_EXAMPLE_PREFIX):
        examples = Path(__file__).parent / "examples"
        name = model.removeprefix(_EXAMPLE_PREFIX)
        names = sorted(path.parent.name for path in examples.glob("*/config.json"))
        if name not in names:
            raise UserError(
                f"There is no example '{name}'.",
                f"Choose from: {', '.join(_EXAMPLE_PREFIX + n for n in names)}.",
            )
        return examples / name
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{model} is a file.", "Give the folder of the checkpoint.")
    if not _HUB_ID.fullmatch(model):
        raise UserError(
            f"The folder {model} does not exist.",
            "Give a folder, a Hub id, example:nli, example:intents or one of "
            f"{', '.join(RANDOM_ARCHITECTURES)}.",
        )
    return None


def _bundle_config(config: Mapping[str, Any], source: SourceModel) -> dict[str, Any]:
    """The checkpoint's configuration with the exported task and labels, for the bundle.

    ``num_labels`` goes (it follows from ``id2label``), and so does ``_name_or_path`` (it may be a
    path on the machine where the checkpoint was made).
    """
    dropped = ("num_labels", "_name_or_path", "id2label", "label2id", "architectures")
    written = source.config.to_hugging_face(source.task, source.labels)
    kept = {
        key: value
        for key, value in config.items()
        if key not in dropped and not (value is None and key in written)
    }
    return {**written, **kept}


def hash_files(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {len(files[name])}\n".encode())
        digest.update(files[name])
    return digest.hexdigest()


def _hash_source(source: SourceModel, config: Mapping[str, Any], tokenizer_hash: str) -> str:
    digest = hashlib.sha256()
    header = {"config": config, "task": source.task, "labels": source.labels}
    digest.update(json.dumps(header, sort_keys=True).encode())
    digest.update(tokenizer_hash.encode())
    for name in sorted(source.weights):
        values = source.weights[name].numpy()
        digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(values.data)
    return digest.hexdigest()
