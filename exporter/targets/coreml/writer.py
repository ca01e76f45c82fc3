"""The folder ``.mlpackage``: a manifest, the model's protobuf and its weights.

The same model gives the same bytes: the manifest's identifiers are made from the contents that
the files have when they are written first, maps are written in order, and there is no date.
"""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporter.filesystem import (
    explained_os_errors,
    move_into_place,
    partial_folder,
    sha256_file,
)

_OWNER = "com.apple.CoreML"
_MODEL, _WEIGHTS = f"{_OWNER}/model.mlmodel", f"{_OWNER}/weights"
_WEIGHTS_FILE = "weight.bin"
_FORMAT = "1.0.0"
#: The name space of the identifiers; any fixed one does.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "squeezebert-mobile/mlpackage")


def write_package(path: Path, translate: Callable[[Path], Any]) -> None:
    """Write the package ``path``, or leave what is there; UserError when the disk refuses.

    ``translate`` writes the weights into a folder, and returns the protobuf.
    """
    with explained_os_errors(path), partial_folder(path.parent) as folder:
        package = folder / path.name
        data = package / "Data"
        weights = data / _WEIGHTS
        weights.mkdir(parents=True)
        spec = translate(weights)
        model = data / _MODEL
        model.write_bytes(spec.SerializeToString(deterministic=True))
        manifest = _manifest({_MODEL: model, _WEIGHTS: weights / _WEIGHTS_FILE})
        # With the line end that coremltools adds when it reads a package: the bytes stay the same.
        text = json.dumps(manifest, indent=4, sort_keys=True) + "\n"
        (package / "Manifest.json").write_text(text)
        move_into_place(package, path)


def _manifest(contents: dict[str, Path]) -> dict[str, Any]:
    identifiers = {
        item: str(uuid.uuid5(_NAMESPACE, f"{item} {sha256_file(content)}"))
        for item, content in contents.items()
    }
    descriptions = {
        _MODEL: "CoreML Model Specification",
        _WEIGHTS: "CoreML Model Weights",
    }
    return {
        "fileFormatVersion": _FORMAT,
        "itemInfoEntries": {
            identifiers[item]: {
                "author": _OWNER,
                "description": descriptions[item],
                "name": Path(item).name,
                "path": item,
            }
            for item in contents
        },
        "rootModelIdentifier": identifiers[_MODEL],
    }
