"""The file tree in a Core ML delegate's data, and its weights; both stay mapped from disk.

The tree: the files' bytes, then an index in JSON, written backwards up to the end (ExecuTorch's
``inmemory_filesystem``). The weights: coremltools' ``MILBlob/Blob/StorageFormat.hpp``.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.targets.executorch.constant import ConstantReference, byte_count
from exporter.targets.executorch.flatbuffer import Damaged

_ROOT = "lowered_module"
_PACKAGE = f"{_ROOT}/model.mlpackage"
_MODEL = "com.apple.CoreML/model.mlmodel"
_WEIGHTS = "com.apple.CoreML/weights/weight.bin"
_METADATA, _MANIFEST = f"{_ROOT}/metadata.json", f"{_PACKAGE}/Manifest.json"
#: Names of operators for debuggers.
_IGNORED = (f"{_ROOT}/debug_info.json", f"{_PACKAGE}/executorch_debug_handle_mapping.json")
#: The index of a tree with the files above has less than 2000 bytes.
_LONGEST_INDEX = 1 << 16
_FILE, _FOLDER = 0, 1

_SENTINEL, _ENTRY = 0xDEADBEEF, struct.Struct("<IIQQ")
_STORAGE_VERSION = 2
_STORED_TYPES = {
    1: "float16",
    2: "float32",
    3: "uint8",
    4: "int8",
    6: "int16",
    7: "uint16",
}


@dataclass(frozen=True)
class Package:
    """Inputs and outputs in the order of the delegate's arguments, the model, its weights."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    model: memoryview
    weights: memoryview

    def constant(self, offset: int, dtype: str, shape: tuple[int, ...]) -> ConstantReference:
        """The tensor whose entry lies at ``offset`` in the weights. Raises Damaged."""
        if offset < 0 or offset + _ENTRY.size > len(self.weights):
            raise Damaged("a constant of a Core ML program lies outside its weights")
        sentinel, kind, size, start = _ENTRY.unpack_from(self.weights, offset)
        if sentinel != _SENTINEL or _STORED_TYPES.get(kind) != dtype:
            raise Damaged(f"a constant of a Core ML program is not stored as {dtype}")
        if size != byte_count(dtype, shape) or start + size > len(self.weights):
            raise Damaged("a constant of a Core ML program has another size than its shape")
        content = self.weights[start : start + size]
        return ConstantReference(dtype, shape, tuple(range(len(shape))), content)


def read_package(blob: memoryview) -> Package:
    """The package in a delegate's data. Raises Damaged."""
    files = _files(blob)
    metadata, manifest = (_json(files.pop(name, None)) for name in (_METADATA, _MANIFEST))
    items = manifest.get("itemInfoEntries", {})
    root = items.get(manifest.get("rootModelIdentifier"), {})
    model = files.pop(f"{_PACKAGE}/Data/{_MODEL}", None)
    weights = files.pop(f"{_PACKAGE}/Data/{_WEIGHTS}", None)
    unknown = sorted(set(files) - set(_IGNORED))
    if model is None or weights is None or root.get("path") != _MODEL or unknown:
        raise Damaged(f"a Core ML package is not complete, or has other files: {unknown}")
    if len(weights) < 8 or struct.unpack_from("<I", weights, 4) != (_STORAGE_VERSION,):
        raise Damaged("the weights of a Core ML program have an unknown format")
    return Package(_names(metadata, "inputNames"), _names(metadata, "outputNames"), model, weights)


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
