"""Golden inputs and outputs of a package, for the replay on a Mac."""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import exporter
from exporter.errors import REBUILD, UserError
from exporter.filesystem import write_atomically
from exporter.model.config import EncoderConfig
from exporter.targets.base import INPUTS, Array
from exporter.targets.coreml.interpreter import Package, open_package
from exporter.targets.coreml.replay.check_on_mac import SCHEMA, content_hash

#: Relative, by precision. Nothing was measured on a Mac. Devices were imitated in PyTorch: with no
#: rounding between operators, and with products that add up in fp16 (by 16 and by 64) and
#: LayerNorms that round at every step. That moves the outputs of trained models (4 and 6 layers, 24
#: texts each; fp16 and int4 weights) by 1.1e-2 at most, of 12 layers of sensitised weights by
#: 1.7e-2. Faults in one layer of such models: queries and keys exchanged 0.16 and more, a lost bias
#: 5e-3 to 0.6; a mask ignored throughout 0.09 and more. That the program is right is proved
#: elsewhere.
_HALF = 3e-2
_TOLERANCES = {
    # A device may add up in other orders; artifacts of other targets differ by up to 1e-6 from
    # PyTorch (exporter.quantization.tolerance).
    "fp32": 1e-3,
    "fp16": _HALF,
    "int8": _HALF,
    "int4": _HALF,
    "palettized6": _HALF,
    "palettized4": _HALF,
    # Values next to the border between two int8 levels fall to either side, and the levels are
    # wide: 1e-2 and 3e-2 in the same imitation, but 0.4 on the model with outlier channels.
    "w8a8": 0.5,
}
_MEANING = (
    "Root mean square of the difference over that of the expected values (of an output, over all "
    "cases). Devices add up fp16 products in other orders and precisions than the interpreter, "
    "which rounds after every operator; int8 activations turn such differences into whole steps. "
    "This tells a device that computes something else from one that rounds differently."
)

#: macOS by the version of the package's format (coremltools: AvailableTarget).
_MACOS = {8: 14, 9: 15}

#: Of one output of a case, and of all together: with its position a value takes up to 24 bytes.
_MOST_VALUES, _ALL_VALUES = 512, 4096
_MOST_BYTES = 200_000

Inputs = Mapping[str, Array]


def golden_path(package: Path) -> Path:
    """Where the script looks: ``model_fp16.golden.json`` beside ``model_fp16.mlpackage``."""
    return package.with_suffix(".golden.json")


def golden_cases(config: EncoderConfig, lengths: Sequence[int], seed: int = 0) -> dict[str, Inputs]:
    """By name: a full text of each of ``lengths``; a padded one, one with gaps in its mask, and one
    without any token.

    int64 [1, S] each, random ids; padding is the pad id, mask and type 0, as a session pads.
    """
    generator = np.random.default_rng(seed)

    def case(mask: Array) -> Inputs:
        ids = generator.integers(0, config.vocab_size, mask.shape)
        types = generator.integers(0, config.token_types, mask.shape)
        values = np.where(mask, ids, config.pad_token_id), mask, np.where(mask, types, 0)
        return {name: value[None] for name, value in zip(INPUTS, values, strict=True)}

    cases = {f"{n} tokens": case(np.ones(n, np.int64)) for n in lengths}
    position = np.arange(min(lengths))
    cases["padded"] = case((position <= len(position) // 2).astype(np.int64))
    cases["no token"] = case(np.zeros(len(position), np.int64))
    cases["gaps"] = case((position % 3 != 1).astype(np.int64))
    return cases


def write_golden(
    package_path: Path,
    cases: Mapping[str, Inputs],
    run: Callable[[Inputs], Mapping[str, Array]],
    path: Path,
    seed: int = 0,
) -> None:
    """Write what ``run`` (a session's) computes of ``cases`` to ``path``, as JSON.

    ``cases``: int64 [1, S] inputs by name, of lengths that the package takes. Of large outputs a
    selection is kept, drawn with ``seed``: positions in the flattened output, and their values.

    UserError for what is no package, one that does not name its precision, and where the disk
    refuses. ValueError for inputs of a length that the package does not take, outputs that are not
    finite, and more cases than fit into 200 KB.
    """
    package = open_package(package_path)
    description = package.description
    precision = description.user_defined.get("precision", "")
    if precision not in _TOLERANCES or description.specification_version not in _MACOS:
        raise UserError(f"{package_path} does not say what it is.", REBUILD)
    _check_shapes(package, cases)
    computed = {name: run(inputs) for name, inputs in cases.items()}
    generator = np.random.default_rng(seed)
    most = min(_MOST_VALUES, _ALL_VALUES // max(1, sum(map(len, computed.values()))))
    document = {
        "schema": SCHEMA,
        "package": package_path.name,
        "precision": precision,
        "flavour": description.user_defined.get("flavour", ""),
        "minimum_macos": _MACOS[description.specification_version],
        "labels": list(description.class_labels),
        "predicted": list(description.predicted),
        "tolerance": {"relative": _TOLERANCES[precision], "meaning": _MEANING},
        "files": [
            {
                "path": file.relative_to(package_path).as_posix(),
                "bytes": file.stat().st_size,
                "sha256": content_hash(file),
            }
            for file in sorted(package_path.rglob("*"))
            if file.is_file() and not file.name.startswith(".")
        ],
        "versions": {
            "squeezebert-mobile": exporter.__version__,
            "coremltools": version("coremltools"),
            "numpy": np.__version__,
        },
        "selection": f"of outputs with more values than a case keeps, drawn with seed {seed}",
        "cases": [
            _case(package, name, inputs, computed[name], most, generator)
            for name, inputs in cases.items()
        ],
    }
    content = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if len(content.encode()) > _MOST_BYTES:
        raise ValueError(f"{len(cases)} cases do not fit into {_MOST_BYTES} bytes")
    write_atomically(path, f"{content}\n".encode())


def _check_shapes(package: Package, cases: Mapping[str, Inputs]) -> None:
    for name, inputs in cases.items():
        for feature in package.description.inputs:
            if not feature.takes(inputs[feature.name].shape):
                raise ValueError(f"{name}: {feature.name} takes {feature.shapes()}")


def _case(
    package: Package,
    name: str,
    inputs: Inputs,
    outputs: Mapping[str, Array],
    most: int,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """``label`` is for people: the script compares a label with the logits that it comes from."""
    labels = package.description.class_labels
    return {
        "name": name,
        "inputs": {key: value[0].tolist() for key, value in inputs.items()},
        "outputs": {key: _kept(value, most, generator) for key, value in outputs.items()},
        "label": labels[int(outputs["logits"][0].argmax())] if labels else "",
    }


def _kept(value: Array, most: int, generator: np.random.Generator) -> dict[str, Any]:
    """The output's shape and values; of more than ``most``, some positions alone."""
    flat = value.astype(np.float32).ravel()
    positions: list[int] = []
    if flat.size > most:
        positions = np.sort(generator.choice(flat.size, most, replace=False)).tolist()
        flat = flat[positions]
    return {
        "shape": list(value.shape),
        "values": [float(str(number)) for number in flat],
        "positions": positions,
    }
