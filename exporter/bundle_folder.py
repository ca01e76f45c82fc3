"""The folder of a bundle: whether it may be written, and the files that all clients share."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import exporter
from exporter.checkpoint import Checkpoint
from exporter.errors import UserError
from exporter.filesystem import explained_os_errors, remove, write_atomically
from exporter.manifest import (
    ArtifactRecord,
    FileRecord,
    Manifest,
    ModelRecord,
    Recipe,
    TokenizerRecord,
)
from exporter.manifest_file import (
    MANIFEST_NAME,
    changed_files,
    content_hash,
    file_record,
    read_manifest,
    write_manifest,
)
from exporter.model_card import model_card
from exporter.model_card_usage import BROWSER_TYPES
from exporter.targets.base import find_target

_VERSIONED = (
    "torch",
    "onnx",
    "onnxruntime",
    "executorch",
    "coremltools",
    "torchao",
    "transformers",
    "tokenizers",
    "numpy",
)
_COMMAND_NAME = "squeezebert-export"
_BROWSER_CONFIG = "transformers.js_config"


def find_bundle(out: Path, recipe: Recipe) -> Manifest | None:
    """The manifest of the bundle at ``out``, or None where a new one may be made.

    Raises UserError when ``out`` is a file, a folder with other content, or a bundle of another
    ``recipe``.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file.", "Name a folder for the bundle.")
    if not out.exists() or not _content(out):
        return None
    if not (out / MANIFEST_NAME).is_file():
        raise UserError(
            f"{out} is not empty and is no bundle.", "Name a new or empty folder for the bundle."
        )
    manifest = read_manifest(out)
    if manifest.recipe != recipe:
        raise UserError(
            f"{out} holds a bundle of the recipe '{manifest.recipe}', not '{recipe}'.",
            "Name another folder.",
        )
    return manifest


def start_manifest(
    bundle: Path,
    old: Manifest | None,
    checkpoint: Checkpoint,
    *,
    recipe: Recipe,
    seed: int,
    command: Sequence[str],
    precisions: Sequence[str],
    targets: Sequence[str],
) -> Manifest:
    """Write the files that all artifacts share and return the manifest to continue with.

    ``precisions`` and ``targets`` are those that the bundle is to hold.

    Artifacts of ``old`` stay when they were made from the same model; those of another model are
    removed from the disk, so that a bundle never mixes two models. Raises UserError when the disk
    or the folder refuses.
    """
    model = model_record(checkpoint, seed)
    same = (
        old is not None
        and (old.model.source_hash, old.model.task, old.labels)
        == (model.source_hash, model.task, checkpoint.model.labels)
        and old.tokenizer.hash == checkpoint.tokenizer_hash
    )
    artifacts = old.artifacts if old is not None and same else ()
    held = (*precisions, *(artifact.precision for artifact in artifacts))
    manifest = Manifest(
        model=model,
        recipe=recipe,
        labels=checkpoint.model.labels,
        tokenizer=TokenizerRecord(
            checkpoint.tokenizer_hash, tuple(sorted(checkpoint.tokenizer_files))
        ),
        files=(),
        artifacts=artifacts,
        evaluation=old.evaluation if old is not None and same else None,
        versions=versions(),
        command=(_COMMAND_NAME, *command),
    )
    if old is None:
        # First, so that the folder of a build that dies here is known as a bundle by the next.
        write_manifest(bundle, manifest)
    found = {*targets, *(artifact.target for artifact in artifacts)} if recipe != "stock" else ()
    shared = {p: c for name in sorted(found) for p, c in find_target(name).shared_files().items()}
    manifest = replace(manifest, files=_write_shared_files(bundle, checkpoint, held, shared))
    save(bundle, manifest)
    if old is not None and not same:
        for artifact in old.artifacts:
            remove_artifact_files(bundle, artifact)
    return manifest


def save(bundle: Path, manifest: Manifest) -> None:
    """Write the manifest and the model card that follows from it, each in one step."""
    write_manifest(bundle, manifest)
    write_atomically(bundle / "README.md", model_card(manifest).encode())


def shared_file_differences(bundle: Path, checkpoint: Checkpoint) -> tuple[str, ...]:
    """What is not byte for byte as ``checkpoint`` makes it: config and tokenizer, a line a file.

    The type that the configuration names for browsers is left open: it follows from what the last
    build was asked for, which no manifest tells.
    """
    wanted = {"config.json": _config_bytes(checkpoint, [_browser_type(bundle / "config.json")])}
    wanted.update(checkpoint.tokenizer_files)
    differences = []
    for name, content in sorted(wanted.items()):
        path = bundle / name
        with explained_os_errors(path):
            if not path.is_file():
                differences.append(f"{name} is missing")
            elif path.read_bytes() != content:
                differences.append(f"{name} is not the one that the model gives")
    return tuple(differences)


def artifact_path(bundle: Path, artifact: ArtifactRecord) -> Path:
    """Where the artifact lies. Raises UserError when its files are not those it was proved with."""
    problems = changed_files(bundle, artifact.files)
    if problems:
        raise UserError(
            f"{bundle}: {problems[0]}.",
            "Rebuild it with: squeezebert-export build MODEL OUT",
        )
    return bundle / artifact.path


def remove_artifact_files(bundle: Path, artifact: ArtifactRecord) -> None:
    """Remove an artifact's files (and the folder that they fill) from the disk."""
    for file in artifact.files:
        remove(bundle / file.path)
    path = bundle / artifact.path
    if path.is_dir():
        remove(path)


def model_record(checkpoint: Checkpoint, seed: int) -> ModelRecord:
    """What the manifest says about the model."""
    config = checkpoint.model.config
    return ModelRecord(
        source=checkpoint.name,
        hub_id=_hub_id(checkpoint.name),
        source_hash=checkpoint.source_hash,
        seed=seed,
        architecture=checkpoint.class_name,
        family=config.family,
        task=checkpoint.model.task,
        trained=checkpoint.trained,
        licence=checkpoint.licence,
        datasets=checkpoint.datasets,
        languages=checkpoint.languages,
        parameters=sum(tensor.numel() for tensor in checkpoint.model.weights.values()),
        vocab_size=config.vocab_size,
        max_length=checkpoint.max_length,
        max_positions=config.max_positions,
        token_types=config.token_types,
        layers=config.layers,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        heads=config.heads,
        groups=asdict(config.groups),
    )


def artifact_record(bundle: Path, record: ArtifactRecord, files: Sequence[Path]) -> ArtifactRecord:
    """``record`` with the sizes and hashes of ``files``, the main file first."""
    records: list[FileRecord] = [file_record(bundle, path) for path in files]
    return replace(
        record,
        bytes=sum(file.bytes for file in records),
        sha256=content_hash(record.path, records),
        files=tuple(records),
    )


def artifact_metadata(checkpoint: Checkpoint, precision: str, flavour: str) -> dict[str, str]:
    """What every artifact carries in itself, so that it can be recognised outside its bundle."""
    model = checkpoint.model
    return {
        "task": model.task,
        "labels": json.dumps(model.labels, ensure_ascii=False),
        "precision": precision,
        "flavour": flavour,
        "source": checkpoint.name,
        **({"licence": checkpoint.licence} if checkpoint.licence else {}),
        **({} if model.mix is None else {"mix": model.mix.text()}),
        **origin_metadata(checkpoint),
        "versions": json.dumps(versions(), sort_keys=True),
    }


def origin_metadata(checkpoint: Checkpoint) -> dict[str, str]:
    """What an artifact, outside its bundle too, says of the model that it was made from."""
    return {
        "source_hash": checkpoint.source_hash,
        "tokenizer_hash": checkpoint.tokenizer_hash,
        "family": checkpoint.model.config.family,
        "max_length": str(checkpoint.max_length),
        "trained": json.dumps(checkpoint.trained),
    }


def versions() -> dict[str, str]:
    """Versions of the project and of the libraries that decide the artifacts."""
    return {
        "squeezebert-mobile": exporter.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _VERSIONED},
    }


def _write_shared_files(
    bundle: Path, checkpoint: Checkpoint, precisions: Sequence[str], shared: Mapping[str, bytes]
) -> tuple[FileRecord, ...]:
    config = _config_bytes(checkpoint, precisions)
    contents = {"config.json": config, **checkpoint.tokenizer_files, **shared}
    for name, content in sorted(contents.items()):
        write_atomically(bundle / name, content)
    return tuple(file_record(bundle, bundle / name) for name in sorted(contents))


def _config_bytes(checkpoint: Checkpoint, precisions: Sequence[str]) -> bytes:
    """``config.json`` as transformers, optimum and transformers.js read it."""
    labels = checkpoint.model.labels
    config: dict[str, Any] = {**checkpoint.config_json, "architectures": [checkpoint.class_name]}
    if labels is not None:
        config["id2label"] = {str(i): label for i, label in enumerate(labels)}
        config["label2id"] = {label: i for i, label in enumerate(labels)}
    # In browsers transformers.js asks for model_quantized.onnx unless the config names a type.
    found = [name for name in BROWSER_TYPES.values() if name in precisions]
    config[_BROWSER_CONFIG] = {"dtype": found[0] if found else "fp32"}
    return (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode()


def _browser_type(config: Path) -> str:
    """The type that a bundle's configuration names for browsers; fp32 where it names none."""
    try:
        found = json.loads(config.read_bytes())[_BROWSER_CONFIG]["dtype"]
    except (OSError, ValueError, KeyError, TypeError):  # not as written: the bytes will differ
        return "fp32"
    return found if isinstance(found, str) else "fp32"


def _hub_id(model: str) -> str | None:
    """``model`` when it names a model of the Hub: neither a scheme of ours nor a folder."""
    return None if ":" in model or Path(model).expanduser().exists() else model


def _content(folder: Path) -> list[Path]:
    """What the folder holds, apart from what a killed build left half-written."""
    return [path for path in folder.iterdir() if not path.name.startswith(".partial-")]
