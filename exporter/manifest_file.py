"""Reading, writing and checking a bundle's ``manifest.json``, and hashing what it names.

Readers ignore fields that they do not know.
"""

import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from exporter.errors import UserError
from exporter.filesystem import explained_os_errors, sha256_file, write_atomically
from exporter.manifest import ArtifactRecord, FileRecord, Manifest

SCHEMA = "squeezebert-bundle/1"
MANIFEST_NAME = "manifest.json"

_Record = TypeVar("_Record")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_bundle(folder: Path) -> bool:
    """Whether the folder's manifest is one of a bundle, of whatever version."""
    try:
        document = json.loads((folder / MANIFEST_NAME).read_bytes())
    except (OSError, ValueError):
        return False
    schema = document.get("schema") if isinstance(document, dict) else None
    return isinstance(schema, str) and schema.startswith(SCHEMA.partition("/")[0])


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of the folder ``bundle``. Raises UserError when it is no readable bundle."""
    path = bundle / MANIFEST_NAME
    if not bundle.exists():
        raise UserError(f"{bundle} does not exist.", "Check the path.")
    if not path.is_file():
        raise UserError(
            f"{bundle} is not a bundle: it has no {MANIFEST_NAME}.",
            "Make one with: squeezebert-export build MODEL OUT",
        )
    with explained_os_errors(path):
        content = path.read_bytes()
    try:
        document = json.loads(content)
    except ValueError as error:
        raise _damaged(path, f"it is not JSON ({error})") from error
    try:
        return from_document(document)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def write_manifest(bundle: Path, manifest: Manifest) -> None:
    """Write the manifest in one step. Raises UserError when the disk or folder refuses."""
    text = json.dumps(as_document(manifest), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(bundle / MANIFEST_NAME, f"{text}\n".encode())


def as_document(manifest: Manifest) -> dict[str, Any]:
    """The JSON document of ``manifest``."""
    document: dict[str, Any] = _without_infinities({"schema": SCHEMA, **asdict(manifest)})
    return document


def from_document(document: Any) -> Manifest:
    """The manifest in a JSON document. Raises ValueError naming the field that is wrong."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, dict) else None
        raise ValueError(f"schema is {found!r}, this version reads {SCHEMA!r}")
    manifest = _read_record(Manifest, document, "manifest")
    for file in (*manifest.files, *(f for a in manifest.artifacts for f in a.files)):
        _require_inside(file.path)
    for name in (*manifest.tokenizer.files, *(a.path for a in manifest.artifacts)):
        _require_inside(name)
    for artifact in manifest.artifacts:
        _require_main_file(artifact)
    _require_hashes(manifest)
    return manifest


def file_record(bundle: Path, path: Path) -> FileRecord:
    """Size and hash of ``path``, a file inside ``bundle``."""
    with explained_os_errors(path):
        return FileRecord(
            path.relative_to(bundle).as_posix(), path.stat().st_size, sha256_file(path)
        )


def content_hash(path: str, files: Sequence[FileRecord]) -> str:
    """The hash of the artifact at ``path``: that of the file, or of a package's list of files.

    The list has a line ``SHA256  PATH`` for each file in the package, sorted by path, which is
    relative to the package: what ``sha256sum`` prints there.
    """
    if files[0].path == path:
        return files[0].sha256
    inside = {f.path.removeprefix(f"{path}/"): f for f in files if f.path.startswith(f"{path}/")}
    lines = "".join(f"{inside[name].sha256}  {name}\n" for name in sorted(inside))
    return hashlib.sha256(lines.encode()).hexdigest()


def changed_files(bundle: Path, records: Iterable[FileRecord]) -> tuple[str, ...]:
    """What is wrong on disk, one line a file: missing, or other content than recorded."""
    problems = []
    for record in records:
        path = bundle / record.path
        if not path.is_file():
            problems.append(f"{record.path} is missing")
        elif path.stat().st_size != record.bytes:
            size = path.stat().st_size
            problems.append(f"{record.path} has {size} bytes instead of {record.bytes}")
        elif sha256_file(path) != record.sha256:
            problems.append(f"{record.path} has another SHA-256 than recorded")
    return tuple(problems)


def _without_infinities(value: Any) -> Any:
    """JSON has no infinity and no NaN (a measured ratio may be either): null stands for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(item) for item in value]
    return value


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} cannot be read: {reason}.", "Delete the folder and build the bundle again."
    )


def _require_inside(path: str) -> None:
    """A manifest must not name files outside its bundle: they would be read, or removed."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or ".." in parts:
        raise ValueError(f"path {path!r} leaves the bundle")


def _require_main_file(artifact: ArtifactRecord) -> None:
    """What is hashed must be what is opened: the file at ``path``, or the package there."""
    if not artifact.files:
        raise ValueError(f"{artifact.path} has no files")
    main = artifact.files[0]
    if main.path != artifact.path and not main.path.startswith(f"{artifact.path}/"):
        raise ValueError(f"files of {artifact.path} begin with {main.path!r}")
    if content_hash(artifact.path, artifact.files) != artifact.sha256:
        raise ValueError(f"sha256 of {artifact.path} is not that of its content")


def _require_hashes(manifest: Manifest) -> None:
    hashes = [manifest.model.source_hash, manifest.tokenizer.hash]
    hashes += [file.sha256 for file in manifest.files]
    if manifest.evaluation is not None:
        hashes.append(manifest.evaluation.sha256)
    for artifact in manifest.artifacts:
        hashes += [artifact.fingerprint, *(file.sha256 for file in artifact.files)]
        if artifact.choice is not None and artifact.choice.mix_sha256 is not None:
            hashes.append(artifact.choice.mix_sha256)
    for value in hashes:
        if not _SHA256.fullmatch(value):
            raise ValueError(f"{value!r} is no SHA-256 of 64 hexadecimal digits")


def _read_record(kind: type[_Record], value: Any, where: str) -> _Record:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")
    hints = typing.get_type_hints(kind)
    arguments = {}
    for known in fields(kind):  # type: ignore[arg-type]  # always called with a dataclass
        name = known.name
        if name not in value:
            if (known.default, known.default_factory) == (MISSING, MISSING):
                raise ValueError(f"{where}.{name} is missing")
            continue  # newer than the manifest
        arguments[name] = _read_value(hints[name], value[name], f"{where}.{name}")
    return kind(**arguments)


def _read_value(hint: Any, value: Any, where: str) -> Any:
    """``value`` as the type ``hint`` asks for. Knows the kinds of types that records use."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        hint = next((a for a in arguments if a is type(value)), arguments[0])
        return _read_value(hint, value, where)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where} is {value!r} instead of {' or '.join(arguments)}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where} is not an array")
        return tuple(_read_value(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is not None:  # Mapping[str, X]
        if not isinstance(value, dict):
            raise ValueError(f"{where} is not an object")
        return {key: _read_value(arguments[1], v, f"{where}.{key}") for key, v in value.items()}
    if hint is Any:
        return value
    if is_dataclass(hint) and isinstance(hint, type):
        return _read_record(hint, value, where)
    if type(value) is not hint:  # not isinstance: true is no integer here
        raise ValueError(f"{where} is {value!r}, not of type {hint.__name__}")
    return value
