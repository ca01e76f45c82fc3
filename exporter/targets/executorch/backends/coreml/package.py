"""The file tree in a Core ML delegate's data, which stays mapped from disk.

The files' bytes, then an index in JSON, written backwards up to the end (ExecuTorch's
``inmemory_filesystem``). The files are a Core ML package and what ExecuTorch says of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.targets.coreml.interpreter.errors import Unreadable
from exporter.targets.coreml.interpreter.package import (
    DATA,
    MANIFEST,
    MODEL,
    WEIGHT_FILE,
    check_manifest,
)
from exporter.targets.executorch.flatbuffer import Damaged

_ROOT = "lowered_module"
_PACKAGE = f"{_ROOT}/model.mlpackage"
_METADATA, _MANIFEST = f"{_ROOT}/metadata.json", f"{_PACKAGE}/{MANIFEST}"
#: Names of operators for debuggers.
_IGNORED = (f"{_ROOT}/debug_info.json", f"{_PACKAGE}/executorch_debug_handle_mapping.json")
#: The index of a tree with the files above has less than 2000 bytes.
_LONGEST_INDEX = 1 << 16
_FILE, _FOLDER = 0, 1


@dataclass(frozen=True)
class DelegateFiles:
    """Inputs and outputs in the order of the delegate's arguments, the package's model and weights.

    Both are as they lie in the file.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    model: memoryview
    weights: memoryview


def read_files(blob: memoryview) -> DelegateFiles:
    """The package in a delegate's data. Raises Damaged."""
    files = _files(blob)
    metadata = _json(files.pop(_METADATA, None))
    try:
        check_manifest(bytes(files.pop(_MANIFEST, b"")), weights=True)
    except Unreadable as error:
        raise Damaged(f"a Core ML package is damaged: {error}") from error
    model = files.pop(f"{_PACKAGE}/{DATA}/{MODEL}", None)
    weights = files.pop(f"{_PACKAGE}/{DATA}/{WEIGHT_FILE}", None)
    unknown = sorted(set(files) - set(_IGNORED))
    if model is None or weights is None or unknown:
        raise Damaged(f"a Core ML package is not complete, or has other files: {unknown}")
    return DelegateFiles(
        _names(metadata, "inputNames"), _names(metadata, "outputNames"), model, weights
    )


def _names(metadata: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = metadata.get(key)
    if not isinstance(names, list) or len(set(map(str, names))) != len(names):
        raise Damaged("a Core ML package does not name its inputs and outputs")
    return tuple(map(str, names))


def _json(content: memoryview | None) -> dict[str, Any]:
    try:
        found = json.loads(bytes(content or b""))
    except ValueError as error:
        raise Damaged("a Core ML package has no description") from error
    if not isinstance(found, dict):
        raise Damaged("a Core ML package has no description")
    return found


def _files(blob: memoryview) -> dict[str, memoryview]:
    """Every file of the tree by its path."""
    text = bytes(blob[-_LONGEST_INDEX:])[::-1].decode("latin-1")
    try:
        index, length = json.JSONDecoder().raw_decode(text)
        nodes = [
            (
                node["kind"],
                node["children"],
                node["dataRegion"]["offset"],
                node["dataRegion"]["size"],
            )
            for node in index["nodes"]
        ]
        folders = [children for kind, children, _, _ in nodes if kind == _FOLDER]
        used = {int(child) for children in folders for child in children.values()}
        (root,) = set(range(len(nodes))) - used
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged("a Core ML delegate's data are no file tree") from error
    found: dict[str, memoryview] = {}
    # Each node is visited once: a damaged tree could have circles.
    waiting, left = [(str(index["nodes"][root].get("name")), root)], set(range(len(nodes)))
    while waiting:
        path, number = waiting.pop()
        if number not in left:
            raise Damaged("the file tree of a Core ML delegate is damaged")
        left.remove(number)
        kind, children, offset, size = nodes[number]
        if kind == _FOLDER:
            waiting += [(f"{path}/{name}", child) for name, child in children.items()]
        elif kind != _FILE or not 0 <= offset <= offset + size <= len(blob) - length:
            raise Damaged("a file in a Core ML delegate's data is damaged")
        else:
            found[path] = blob[offset : offset + size]
    return found
