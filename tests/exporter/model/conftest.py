"""Small encoders and batches for the tests of the model."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from exporter.model.config import EncoderConfig, Family, GroupCounts, SourceModel, Task
from exporter.model.random import sensitised_weights

SmallConfig = Callable[..., EncoderConfig]
SmallSource = Callable[..., SourceModel]
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The models are tiny: more threads only add spread."""
    torch.set_num_threads(1)


@pytest.fixture
def small_config() -> SmallConfig:
    """Builds a configuration with 3 layers of 48 channels; keyword arguments change fields."""

    def build(family: Family = "squeezebert", **changes: Any) -> EncoderConfig:
        config = EncoderConfig(
            family=family,
            vocab_size=101,
            hidden_size=48,
            layers=3,
            heads=4,
            intermediate_size=96,
            max_positions=40,
            token_types=2,
            activation="gelu",
            norm_epsilon=1e-12,
            layer_norm_epsilon=1e-12,
            pad_token_id=0,
            groups=GroupCounts(4, 4, 4, 1, 4, 4) if family == "squeezebert" else GroupCounts(),
            tied_decoder=True,
        )
        return dataclasses.replace(config, **changes)

    return build


@pytest.fixture
def small_source() -> SmallSource:
    """Builds a model with sensitised weights for a configuration and a task."""

    def build(config: EncoderConfig, task: Task = "feature-extraction") -> SourceModel:
        labels = ("no", "yes", "maybe") if task.endswith("classification") else None
        weights = sensitised_weights(config, task, len(labels or ()), seed=7)
        return SourceModel(config, task, labels, weights)

    return build


def make_batch(rows: int, length: int, vocab_size: int = 101, padded: bool = True) -> Batch:
    """Token ids, mask and token types [rows, length]: padding, and one row of nothing else."""
    generator = torch.Generator().manual_seed(rows * 1000 + length)
    ids = torch.randint(0, vocab_size, (rows, length), generator=generator)
    mask = torch.ones(rows, length, dtype=torch.int64)
    if padded:
        for row in range(1, rows):
            mask[row, max(1, length * row // rows) :] = 0
        mask[-1] = 0
    types = (torch.arange(length) > length // 2).to(torch.int64).expand(rows, length)
    return ids, mask, types
