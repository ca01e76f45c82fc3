"""A checkpoint as files: from the Hub or a folder, to configuration, tensors and tokenizer.

Nothing here runs code from a checkpoint: safetensors holds no code, and ``.bin`` files are read
with ``weights_only``, which refuses it.
"""

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import safetensors
import safetensors.torch
import torch
from huggingface_hub import metadata_load
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
)
from yaml import YAMLError

from exporter.errors import UserError
from exporter.tokenizer import TOKENIZER_FILES

_SAFETENSORS = "model.safetensors"
_PICKLE = "pytorch_model.bin"
_CONFIG = "config.json"
_CARD = "README.md"
_OTHER_FRAMEWORKS = ("tf_model.h5", "flax_model.msgpack", "rust_model.ot", "model.ckpt.index")


@dataclass(frozen=True)
class CheckpointFiles:
    """What was read from a checkpoint's folder, not yet interpreted.

    ``state`` has the tensors under the names and in the types they are stored with; ``licence``,
    ``datasets`` (Hub ids of the training data) and ``languages`` are what the model card declares.
    """

    config: dict[str, Any]
    state: dict[str, torch.Tensor]
    tokenizer: dict[str, bytes]
    licence: str | None
    datasets: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


def download(model: str) -> Path:
    """The local folder of the Hub model ``model``, fetching what is not in the cache yet.

    Only configuration, tokenizer, model card and one set of weights are fetched: safetensors, or
    ``pytorch_model.bin`` where there are none. Raises UserError when the model does not exist,
    is gated, or the Hub cannot be reached.
    """
    small = [_CONFIG, _CARD, *TOKENIZER_FILES]
    folder = _snapshot(model, None, [*small, "model*.safetensors", f"{_SAFETENSORS}.index.json"])
    if not any(folder.glob("model*.safetensors")):
        # The folder is named after the commit: the weights come from the same one.
        folder = _snapshot(model, folder.name, [*small, "pytorch_model*.bin", f"{_PICKLE}*.json"])
    return folder


def read_folder(folder: Path) -> CheckpointFiles:
    """Read a checkpoint's folder.

    Raises UserError when ``config.json`` or the weights are missing, unreadable, truncated or hold
    anything but tensors.
    """
    config = read_json(folder / _CONFIG)
    if not config:
        raise UserError(f"{folder / _CONFIG} is empty.", "Replace it by the model's configuration.")
    tokenizer = {
        name: _bytes(folder / name) for name in TOKENIZER_FILES if (folder / name).is_file()
    }
    return CheckpointFiles(config, _read_weights(folder), tokenizer, *_card(folder / _CARD))


def read_json(path: Path) -> dict[str, Any]:
    """A file that holds one JSON object; UserError when it does not."""
    if not path.is_file():
        raise UserError(
            f"{path} does not exist.",
            "Give the folder of a Hugging Face checkpoint (config.json, weights, tokenizer).",
        )
    try:
        values = json.loads(_bytes(path))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}.", "Download it again.") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} does not hold a JSON object.", "Download it again.")
    return values


def _snapshot(model: str, revision: str | None, patterns: list[str]) -> Path:
    try:
        found = huggingface_hub.snapshot_download(model, revision=revision, allow_patterns=patterns)
    except GatedRepoError as error:
        raise UserError(
            f"The Hub model '{model}' needs an accepted licence.",
            f"Accept it on https://huggingface.co/{model} and run: hf auth login",
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(
            f"'{model}' is neither a folder here nor a public model on the Hub.",
            "Check the spelling; private models need: hf auth login",
        ) from error
    except Exception as error:  # OSError, the HTTP client's, the Hub's: no common base
        raise _unreachable(model, error) from error
    return Path(found)


def _unreachable(model: str, error: Exception) -> UserError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UserError(
        f"'{model}' is not a folder here, and could not be fetched from the Hub ({reason}).",
        "Give a local folder with the checkpoint, or connect; HF_HOME names a filled cache and "
        "HF_ENDPOINT a mirror. Without any checkpoint: example:intents or random:squeezebert-base.",
    )


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    for single, read in ((_SAFETENSORS, _read_safetensors), (_PICKLE, _read_pickle)):
        index = folder / f"{single}.index.json"
        if (folder / single).is_file():
            return read(folder / single)
        if index.is_file():
            return _read_shards(index, read)
    others = [name for name in _OTHER_FRAMEWORKS if (folder / name).is_file()]
    seen = f" It has {', '.join(others)}, which is another framework's." if others else ""
    raise UserError(
        f"{folder} has no weights: neither {_SAFETENSORS} nor {_PICKLE}.{seen}",
        "Add the PyTorch weights of the checkpoint.",
    )


def _read_shards(
    index: Path, read: Callable[[Path], dict[str, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, Mapping) or not all(isinstance(v, str) for v in places.values()):
        raise UserError(f"{index} has no valid weight_map.", "Download it again.")
    state: dict[str, torch.Tensor] = {}
    for shard in sorted(set(places.values())):
        path = index.parent / shard
        if Path(shard).name != shard or not path.is_file():
            raise UserError(
                f"{index.name} names the file {shard!r}, which is not in the folder.",
                "Download the missing shard.",
            )
        state.update(read(path))
    missing = sorted(places.keys() - state.keys())
    if missing:
        raise UserError(
            f"The weights lack {missing[0]}, which {index.name} lists.",
            "Download the shards again: they belong to another version.",
        )
    return state


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        state: dict[str, torch.Tensor] = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read, it is damaged or truncated: {error}.", "Download it again."
        ) from error
    return state


def _read_pickle(path: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is damaged or holds pickled code, which is never run.",
            "Use a checkpoint with safetensors, or one that holds nothing but tensors.",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} cannot be read, it is damaged or truncated: {reason}.", "Download it again."
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()
    ):
        raise UserError(
            f"{path} is not a plain state dict (names and tensors).",
            "Save it again with torch.save(model.state_dict(), ...).",
        )
    return dict(state)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}.", "Check the file's permissions."
        ) from error


def _card(path: Path) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """Licence, training datasets and languages from the metadata that heads a Hub model card."""
    if not path.is_file():
        return None, (), ()
    try:
        metadata = metadata_load(path) or {}
    except (ValueError, YAMLError) as error:
        raise UserError(
            f"{path.name} starts with metadata that is no YAML ({type(error).__name__}).",
            f"Correct or remove {path}.",
        ) from error
    licence = metadata.get("license")
    return (
        None if licence is None else str(licence),
        _names(metadata.get("datasets")),
        _names(metadata.get("language")),
    )


def _names(value: Any) -> tuple[str, ...]:
    """One name or a list of names, as model cards write either."""
    values = value if isinstance(value, list) else [value]
    # YAML 1.1 reads an unquoted no (Norwegian) as false.
    return tuple("no" if v is False else str(v) for v in values if v is not None)
