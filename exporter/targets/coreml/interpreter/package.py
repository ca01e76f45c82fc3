"""Opens a ``.mlpackage`` folder without coremltools' loaders."""

import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.errors import REBUILD, UserError
from exporter.targets.coreml.interpreter.description import Description, read_description
from exporter.targets.coreml.interpreter.errors import Incomplete, Unreadable
from exporter.targets.coreml.interpreter.formats import parse_model
from exporter.targets.coreml.interpreter.program import Program
from exporter.targets.coreml.interpreter.reader import BLOB_NAME, read_program
from exporter.targets.coreml.interpreter.storage import read_storage

MANIFEST = "Manifest.json"
DATA = "Data"
MODEL = "com.apple.CoreML/model.mlmodel"
WEIGHTS = "com.apple.CoreML/weights"
WEIGHT_FILE = f"{WEIGHTS}/weight.bin"
_FORMAT_VERSION = "1.0.0"
_SUFFIX = ".mlpackage"
_COPY = "Copy the whole package."


@dataclass(frozen=True)
class Package:
    """A package that was read: what it computes, and what it says of itself.

    ``origin`` names it in messages.
    """

    program: Program
    description: Description
    origin: str


def open_package(path: Path) -> Package:
    """Read the package folder ``path``; its weights stay mapped from disk.

    Raises UserError with the cause: no package, files that are missing or not known, damaged
    messages, weights that are truncated or another package's, programs that are not understood.
    """
    if not path.is_dir() or not (path / MANIFEST).is_file():
        lacks = f": it has no {MANIFEST}" if path.is_dir() else ""
        step = "Give the folder of a package: NAME.mlpackage"
        if path.suffix == _SUFFIX and lacks:
            step = _COPY
        raise UserError(f"{path} is no Core ML package{lacks}.", step)
    try:
        model, weights = _files(path)
        return read_package(model, weights, str(path))
    except Incomplete as error:
        raise UserError(f"{path} cannot be read: {error}.", _COPY) from error
    except Unreadable as error:
        raise UserError(f"{path} cannot be read: {error}.", REBUILD) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}.", "Check the folder.") from error


def read_package(model: bytes, weights: memoryview | None, origin: str) -> Package:
    """The package of these files' contents. Raises Unreadable; ``origin`` is for messages."""
    message = parse_model(model)
    program = read_program(message, None if weights is None else read_storage(weights))
    return Package(program, read_description(message, program), origin)


def check_manifest(manifest: bytes, weights: bool) -> None:
    """Prove that a package's manifest lists the model, and the ``weights`` if there are any.

    Core ML takes what the manifest lists. Raises Unreadable.
    """
    try:
        found: Any = json.loads(manifest)
        items = {key: item["path"] for key, item in found["itemInfoEntries"].items()}
        root, version = items[found["rootModelIdentifier"]], found["fileFormatVersion"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"its {MANIFEST} is damaged") from error
    paths = sorted(map(str, items.values()))
    wanted = [MODEL, WEIGHTS] if weights else [MODEL]
    if not weights and paths == [MODEL, WEIGHTS]:
        raise Incomplete("its weights are missing")
    if root != MODEL or version != _FORMAT_VERSION or paths != wanted:
        raise Unreadable(
            f"its {MANIFEST} lists {', '.join(paths)} in the format {version}, not what is there: "
            f"{', '.join(wanted)}"
        )


def _files(path: Path) -> tuple[bytes, memoryview | None]:
    """The model, and the weights where the package has some."""
    known = {MANIFEST, f"{DATA}/{MODEL}", f"{DATA}/{WEIGHT_FILE}"}
    found = {
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        # What file managers leave behind, .DS_Store for one.
        if not file.is_dir() and not file.name.startswith(".")
    }
    if found - known:
        raise Unreadable(f"it has a file that no package has: {min(found - known)}")
    model = path / DATA / MODEL
    if not model.is_file():
        raise Incomplete(f"{DATA}/{MODEL} is missing")
    content, weights = model.read_bytes(), path / DATA / WEIGHT_FILE
    # coremltools lists its folder of weights even where no constant was large enough for it.
    empty = weights.parent.is_dir() and BLOB_NAME.encode() not in content
    check_manifest((path / MANIFEST).read_bytes(), weights.is_file() or empty)
    return content, _mapped(weights) if weights.is_file() else None


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
