"""Tiny checkpoints on disk, as Hugging Face writes them, and what is said about unusable ones."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from exporter.checkpoint import load
from exporter.errors import UserError
from exporter.model.config import EncoderConfig, Family, Task
from exporter.model.random import sensitised_weights
from exporter.model.weights import to_hugging_face

VOCABULARY = "".join(
    f"{piece}\n" for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##c")
).encode()
LABELS = ("no", "maybe", "yes")

Write = Callable[..., Path]


def checkpoint_writer(parent: Path) -> Write:
    """Writes a tiny checkpoint; ``config`` changes fields of config.json (None removes one)."""

    def build(
        family: Family = "squeezebert",
        task: Task = "sequence-classification",
        config: Mapping[str, Any] | None = None,
        *,
        name: str = "model",
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> Path:
        values = {
            "model_type": family,
            "vocab_size": 8,
            "hidden_size": 8,
            "embedding_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": 12,
        }
        encoder = EncoderConfig.from_hugging_face(values)
        labels = LABELS if task.endswith("classification") else None
        values = {**values, **encoder.to_hugging_face(task, labels), **(config or {})}
        weights = sensitised_weights(encoder, task, 3, seed)
        state = {n: t.to(dtype) for n, t in to_hugging_face(weights, encoder, task).items()}
        folder = parent / name
        folder.mkdir()
        kept = {key: value for key, value in values.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))
        (folder / "vocab.txt").write_bytes(VOCABULARY)
        safetensors.torch.save_file(state, folder / "model.safetensors")
        return folder

    return build


def refused(model: Path | str, **arguments: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        load(str(model), **arguments)
    assert caught.value.next_step
    return caught.value


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
