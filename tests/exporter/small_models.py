"""Small models with sensitised weights, batches for them, and artifacts of them on disk."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exporter.model.config import EncoderConfig, Family, GroupCounts, SourceModel, Task
from exporter.model.random import sensitised_weights
from exporter.targets.base import Array, ArtifactSpec
from exporter.targets.onnx import TARGET

LABELS = ("no", "yes", "maybe")
MAX_POSITIONS = 40
VOCABULARY = 60

Groups = tuple[int, int, int, int, int, int]


def small_model(
    family: Family = "squeezebert",
    task: Task = "sequence-classification",
    groups: Groups = (4, 4, 4, 1, 4, 4),
    *,
    weights_seed: int = 0,
    **changes: Any,
) -> SourceModel:
    """2 layers of 32 channels and 4 heads; ``changes`` are fields of the configuration."""
    config = EncoderConfig(
        family=family,
        vocab_size=VOCABULARY,
        hidden_size=32,
        layers=2,
        heads=4,
        intermediate_size=64,
        max_positions=MAX_POSITIONS,
        token_types=2,
        activation="gelu",
        norm_epsilon=1e-12,
        layer_norm_epsilon=1e-12,
        pad_token_id=0,
        groups=GroupCounts(*groups) if family == "squeezebert" else GroupCounts(),
        tied_decoder=True,
    )
    config = dataclasses.replace(config, **changes)
    labels = LABELS if task.endswith("classification") else None
    weights = sensitised_weights(config, task, len(labels or ()), weights_seed)
    return SourceModel(config, task, labels, weights)


def make_batch(rows: int, length: int) -> dict[str, Array]:
    """int64 [rows, length] inputs: shorter and shorter rows; of three or more the last is empty."""
    generator = np.random.default_rng(1000 * rows + length)
    mask = np.ones((rows, length), np.int64)
    for row in range(1, rows):
        mask[row, max(1, length * row // rows) :] = 0
    if rows > 2:
        mask[-1] = 0
    return {
        "input_ids": generator.integers(0, VOCABULARY, (rows, length)),
        "attention_mask": mask,
        "token_type_ids": generator.integers(0, 2, (rows, length)),
    }


def tensors(batch: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    """The batch for PyTorch."""
    return {name: torch.from_numpy(values) for name, values in batch.items()}


def write(
    model: SourceModel, folder: Path, precision: str, flavour: str
) -> tuple[ArtifactSpec, Path]:
    """An artifact of ``model`` with the metadata that the gate asks for."""
    (spec,) = TARGET.artifacts((precision,), (flavour,))
    path = folder / Path(spec.path).name
    metadata = {
        "labels": json.dumps(model.labels),
        "task": model.task,
        "precision": precision,
        "flavour": flavour,
        **({} if model.mix is None else {"mix": model.mix.text()}),
    }
    TARGET.write(model, spec, path, metadata)
    return spec, path
