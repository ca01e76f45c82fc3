"""Reads a bundle's manifest (schema ``squeezebert-bundle/1``) and checks the files against it."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from runtime_bench.errors import InputError

MANIFEST_SCHEMA = "squeezebert-bundle/1"
_SHA256 = re.compile("[0-9a-f]{64}")
_GROUP_NAMES = ("query", "key", "value", "post_attention", "intermediate", "output")


@dataclass(frozen=True)
class StoredFile:
    """One file of an artifact; ``path`` is relative to the bundle, with forward slashes."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class TensorSpec:
    """Name, element type and shape of a model's input or output; a named axis is dynamic."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Artifact:
    """One exported model of a bundle. ``bytes`` is the sum over all of its files.

    ``not_run`` is "" unless its exporter could not run it; it says what was done instead.
    """

    path: str
    target: str
    flavour: str
    precision: str
    bytes: int
    sha256: str
    fingerprint: str | None
    files: tuple[StoredFile, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    accuracy: Mapping[str, Any] | None
    not_run: str = ""


@dataclass(frozen=True)
class ModelFacts:
    """What the benchmark needs to know of the exported model: names, sizes and groups."""

    source: str
    source_hash: str | None
    architecture: str
    family: str
    task: str
    trained: bool
    vocab_size: int
    max_positions: int
    layers: int
    hidden_size: int
    heads: int
    intermediate_size: int
    groups: Mapping[str, int]
    label_count: int


@dataclass(frozen=True)
class Bundle:
    """A folder made by ``squeezebert-export build``, as its manifest describes it."""

    folder: Path
    recipe: str
    model: ModelFacts
    artifacts: tuple[Artifact, ...]

    def artifact(self, path: str) -> Artifact:
        """The artifact at ``path``; raises InputError naming those that exist."""
        for artifact in self.artifacts:
            if artifact.path == path:
                return artifact
        have = ", ".join(artifact.path for artifact in self.artifacts) or "none"
        raise InputError(
            f"{self.folder} has no artifact {path}.", f"Choose one of those it has: {have}."
        )


def read_bundle(folder: Path) -> Bundle:
    """Read ``folder/manifest.json``.

    Raises InputError when the folder is no bundle, or the manifest is broken, of another schema,
    or lacks a field.
    """
    path = folder / "manifest.json"
    if not folder.is_dir():
        raise InputError(
            f"{folder} is not a folder.",
            f"Make a bundle there with: squeezebert-export build MODEL {folder}",
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder} is not a bundle: it has no manifest.json.",
            f"Make a bundle with: squeezebert-export build MODEL {folder}",
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.", _rebuild(folder)) from None
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != MANIFEST_SCHEMA:
        raise InputError(
            f"{path} has the schema {schema!r}; this version reads {MANIFEST_SCHEMA!r}.",
            _rebuild(folder),
        )
    try:
        return _bundle(folder, document)
    except KeyError as error:
        raise InputError(f"{path} lacks the field {error}.", _rebuild(folder)) from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is malformed: {error}.", _rebuild(folder)) from None


def check_hashes(bundle: Bundle, artifact: Artifact) -> None:
    """Compare size and SHA-256 of every file of ``artifact`` with the manifest.

    A figure is only worth something together with the exact artifact it belongs to. The first file
    is the one that is measured and whose hash reports print (``read_bundle`` sees to that).
    Raises InputError when a file is missing or was changed after the manifest was written.
    """
    for stored in artifact.files:
        path = bundle.folder / stored.path
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                size = stream.tell()
        except OSError as error:
            raise InputError(
                f"{path} cannot be read ({error.strerror}).", _rebuild(bundle.folder)
            ) from None
        if digest != stored.sha256:
            raise InputError(
                f"{path} was changed after the bundle was made (SHA-256 {digest[:12]}..., "
                f"the manifest says {stored.sha256[:12]}...).",
                _rebuild(bundle.folder),
            )
        if size != stored.bytes:
            raise InputError(
                f"{path} has {size} bytes, the manifest says {stored.bytes}.",
                _rebuild(bundle.folder),
            )


def _rebuild(folder: Path) -> str:
    return f"Rebuild it with: squeezebert-export build MODEL {folder} --force"


def _bundle(folder: Path, document: Mapping[str, Any]) -> Bundle:
    labels = document.get("labels")
    artifacts = tuple(_artifact(item) for item in document["artifacts"])
    model = document["model"]
    facts = ModelFacts(
        source=str(model["source"]),
        source_hash=model.get("source_hash"),
        architecture=str(model["architecture"]),
        family=str(model["family"]),
        task=str(model["task"]),
        trained=bool(model["trained"]),
        vocab_size=int(model["vocab_size"]),
        max_positions=int(model["max_positions"]),
        layers=int(model["layers"]),
        hidden_size=int(model["hidden_size"]),
        heads=int(model["heads"]),
        intermediate_size=int(model["intermediate_size"]),
        groups={name: int(model["groups"][name]) for name in _GROUP_NAMES},
        label_count=len(labels) if labels else _last_axis(artifacts),
    )
    return Bundle(folder, str(document["recipe"]), facts, artifacts)


def _last_axis(artifacts: Sequence[Artifact]) -> int:
    for artifact in artifacts:
        for output in artifact.outputs:
            if output.shape and isinstance(output.shape[-1], int):
                return output.shape[-1]
    return 0


def _artifact(item: Mapping[str, Any]) -> Artifact:
    path, size, sha256 = str(item["path"]), int(item["bytes"]), str(item["sha256"])
    files = tuple(
        _stored_file(file)
        for file in item.get("files") or [{"path": path, "bytes": size, "sha256": sha256}]
    )
    package = files[0].path.startswith(f"{path}/")
    if (not package and files[0].path != path) or _content_hash(path, files) != sha256:
        # Otherwise one file would be checked and another one measured or named in the report.
        raise ValueError(
            f"the first file of the artifact {path!r} is not the artifact itself "
            "(another path or another SHA-256)"
        )
    return Artifact(
        path=path,
        target=str(item["target"]),
        flavour=str(item["flavour"]),
        precision=str(item["precision"]),
        bytes=sum(file.bytes for file in files),
        sha256=sha256,
        fingerprint=item.get("fingerprint"),
        files=files,
        inputs=tuple(_tensor(spec) for spec in item["inputs"]),
        outputs=tuple(_tensor(spec) for spec in item["outputs"]),
        accuracy=item.get("accuracy"),
        not_run=str(item.get("not_run", "")),
    )


def _content_hash(path: str, files: Sequence[StoredFile]) -> str:
    """The file's hash, or that of the list of a folder's files (the manifest's schema says how)."""
    if files[0].path == path:
        return files[0].sha256
    inside = {f.path.removeprefix(f"{path}/"): f for f in files if f.path.startswith(f"{path}/")}
    lines = "".join(f"{inside[name].sha256}  {name}\n" for name in sorted(inside))
    return hashlib.sha256(lines.encode()).hexdigest()


def _stored_file(item: Mapping[str, Any]) -> StoredFile:
    path, sha256 = str(item["path"]), str(item["sha256"])
    # The Windows rules know drives as well as a leading slash; bundles come from anywhere.
    outside = PureWindowsPath(path).anchor or ".." in PurePosixPath(path).parts or "\\" in path
    if not path or outside:
        raise ValueError(
            f"the file path {path!r} is not a relative one with forward slashes inside the bundle"
        )
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"the SHA-256 of {path!r} is not 64 hexadecimal digits in lower case")
    return StoredFile(path, int(item["bytes"]), sha256)


def _tensor(item: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(axis if isinstance(axis, int) else str(axis) for axis in item["shape"])
    return TensorSpec(str(item["name"]), str(item["dtype"]), shape)
