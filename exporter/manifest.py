"""The bundle's table of contents, ``manifest.json``: reading, writing, hashes.

The document is described by ``exporter/schema/manifest.schema.json`` (JSON Schema 2020-12) and by
the dataclasses here, which mirror it field by field. Readers ignore fields they do not know.
"""

import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from exporter.errors import UserError
from exporter.filesystem import explained_os_errors, sha256_file, write_atomically
from exporter.targets.base import TensorSpec

SCHEMA = "squeezebert-bundle/1"
MANIFEST_NAME = "manifest.json"
Recipe = Literal["squeezebert-export", "stock"]

_Record = TypeVar("_Record")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileRecord:
    """A file of the bundle. ``path`` is relative to the bundle, with forward slashes."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ModelRecord:
    """The model that was exported.

    ``source`` is the model as the user named it, ``hub_id`` the same when it came from the Hub;
    ``source_hash`` covers its configuration, tensors and tokenizer. ``datasets`` are Hub ids of
    the data that it was trained on and ``languages`` its languages (codes as on the Hub), as far
    as known. ``trained`` is False for seeded random weights. ``groups`` gives the group count of
    every linear layer of an encoder layer.
    ``max_length`` counts tokens.
    """

    source: str
    hub_id: str | None
    source_hash: str
    seed: int
    architecture: str
    family: str
    task: str
    trained: bool
    licence: str | None
    datasets: tuple[str, ...]
    languages: tuple[str, ...]
    parameters: int
    vocab_size: int
    max_length: int
    max_positions: int
    token_types: int
    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    groups: Mapping[str, int]


@dataclass(frozen=True)
class TokenizerRecord:
    """The tokenizer's files and the hash that the artifacts carry too."""

    hash: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class EvaluationRecord:
    """The data of an evaluation or calibration: file name, hash of the file, examples used."""

    data: str
    sha256: str
    examples: int


@dataclass(frozen=True)
class CalibrationRecord(EvaluationRecord):
    """The texts of a calibration: a sample of the file, drawn by ``seed``.

    Without a seed they are its first ones. ``lengths`` says how many have at most so many tokens
    (see ``exporter.calibration_texts``).
    """

    seed: int | None = None
    lengths: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ChoiceRecord:
    """How a search chose the methods of a mixed artifact (``exporter.search``).

    ``budget`` is the most that was to be lost, as a share of the examples; ``loss`` what the
    artifact lost on ``examples`` that the search did not choose by, within ``interval`` (95 %).
    ``goal`` is what was made small: "time" or "size". ``methods`` counts the chosen ones.
    ``report`` is the path of the search's report in the bundle.
    """

    budget: float
    goal: str
    loss: float
    interval: tuple[float, ...]
    examples: int
    data: str
    data_sha256: str
    methods: Mapping[str, int]
    report: str


@dataclass(frozen=True)
class ArtifactRecord:
    """One artifact that passed its gate, with everything that was measured on it.

    ``bytes`` is the size of all ``files``, ``sha256`` the artifact's own hash (``content_hash``).
    ``fingerprint`` covers all that went in: when it is unchanged, so is the artifact.
    ``backend`` names the delegate, where the target has several. ``not_run`` is "" where the checks
    ran the artifact itself, else it says what they did instead. ``command`` made it.
    ``accuracy`` is what was measured last, ``other_accuracies`` what was measured on other data.
    ``calibration`` are the texts that static ranges of activations were taken from. ``lengths`` are
    the numbers of tokens that it takes, () where it takes all that the model does. ``facts`` are
    what else an app has to know (``Target.facts``). ``choice`` is what the search found that chose
    the methods of a mixed artifact.
    """

    path: str
    target: str
    flavour: str
    precision: str
    bytes: int
    sha256: str
    files: tuple[FileRecord, ...]
    fingerprint: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    verification: Mapping[str, Any]
    coverage: Mapping[str, Any] | None
    accuracy: Mapping[str, Any] | None
    backend: str = ""
    not_run: str = ""
    command: tuple[str, ...] = ()
    calibration: CalibrationRecord | None = None
    lengths: tuple[int, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    other_accuracies: tuple[Mapping[str, Any], ...] = ()
    choice: ChoiceRecord | None = None


@dataclass(frozen=True)
class Manifest:
    """The whole document. ``files`` holds what every client reads: config and tokenizer."""

    model: ModelRecord
    recipe: Recipe
    labels: tuple[str, ...] | None
    tokenizer: TokenizerRecord
    files: tuple[FileRecord, ...]
    artifacts: tuple[ArtifactRecord, ...]
    evaluation: EvaluationRecord | None
    versions: Mapping[str, str]
    command: tuple[str, ...]

    def artifact(self, path: str) -> ArtifactRecord | None:
        """The artifact at ``path``, if the bundle has it."""
        return next((a for a in self.artifacts if a.path == path), None)

    def with_artifact(self, artifact: ArtifactRecord) -> "Manifest":
        """A copy in which ``artifact`` replaces the one at its path or is appended."""
        kept = [a for a in self.artifacts if a.path != artifact.path]
        position = next(
            (i for i, a in enumerate(self.artifacts) if a.path == artifact.path), len(kept)
        )
        return replace(self, artifacts=(*kept[:position], artifact, *kept[position:]))

    def without_artifact(self, path: str) -> "Manifest":
        """A copy without the artifact at ``path``."""
        return replace(self, artifacts=tuple(a for a in self.artifacts if a.path != path))


def with_accuracy(artifact: ArtifactRecord, accuracy: Mapping[str, Any]) -> ArtifactRecord:
    """A copy whose accuracy is ``accuracy``; what was found on other data is kept beside it."""
    known = (artifact.accuracy, *artifact.other_accuracies)
    others = tuple(
        found
        for found in known
        if found is not None and found["data_sha256"] != accuracy["data_sha256"]
    )
    return replace(artifact, accuracy=accuracy, other_accuracies=others)


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


def changed_files(bundle: Path, records: typing.Iterable[FileRecord]) -> tuple[str, ...]:
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
    """``value`` as the type ``hint`` asks for. Knows the kinds of types used above."""
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
