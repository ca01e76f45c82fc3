"""Folding biases into LayerNorm keeps the function and leaves the folded biases exactly zero."""

import dataclasses
from typing import Any

import pytest
import torch

from exporter.model import folding
from exporter.model.config import TASKS, GroupCounts, SourceModel, Task
from exporter.model.encoder import build_module
from exporter.model.folding import fold_residual_biases, folded_biases, residual_norm

from .conftest import SmallConfig, SmallSource, make_batch

GROUPS = [
    GroupCounts(),
    GroupCounts(4, 4, 4, 1, 4, 4),
    GroupCounts(2, 4, 1, 2, 4, 2),
    GroupCounts(8, 8, 8, 2, 2, 8),
    GroupCounts(1, 2, 4, 16, 48, 3),
]

#: Folding rounds every moved bias to fp32 once: 6e-8 of its size, which the sensitised weights
#: keep near that of the hidden states. A bias that is not moved shows at 1e-2.
TOLERANCE = 1e-6


def outputs(source: SourceModel) -> dict[str, torch.Tensor]:
    """In fp64, so that only the rounding of the folded biases is seen."""
    weights = {name: tensor.double() for name, tensor in source.weights.items()}
    module = build_module(dataclasses.replace(source, weights=weights))
    found: dict[str, torch.Tensor] = module(*make_batch(3, 11))
    return found


def difference(one: SourceModel, other: SourceModel) -> float:
    left, right = outputs(one), outputs(other)
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).norm() / right[name].norm()) for name in right)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", ["squeezebert", "bert"])
def test_the_function_stays(
    family: Any, task: Task, small_config: SmallConfig, small_source: SmallSource
) -> None:
    source = small_source(small_config(family), task)
    assert difference(fold_residual_biases(source), source) < TOLERANCE


@pytest.mark.parametrize("groups", GROUPS, ids=str)
def test_any_groups(
    groups: GroupCounts, small_config: SmallConfig, small_source: SmallSource
) -> None:
    source = small_source(small_config(groups=groups))
    folded = fold_residual_biases(source)
    assert difference(folded, source) < TOLERANCE
    for name in folded_biases(source.config):
        assert source.weights[name].count_nonzero() > 0
        assert folded.weights[name].count_nonzero() == 0, name


def test_only_biases_change(small_config: SmallConfig, small_source: SmallSource) -> None:
    source = small_source(small_config())
    before = {name: tensor.clone() for name, tensor in source.weights.items()}
    folded = fold_residual_biases(source)
    changed = {
        name
        for name, tensor in folded.weights.items()
        if not torch.equal(tensor, source.weights[name])
    }
    layers = range(source.config.layers)
    last = f"layers.{source.config.layers - 1}.feed_forward.norm.bias"
    attention, feed_forward = "query key value output norm", "intermediate output norm"
    expected = {f"layers.{i}.attention.{part}.bias" for i in layers for part in attention.split()}
    expected |= {
        f"layers.{i}.feed_forward.{part}.bias" for i in layers for part in feed_forward.split()
    }
    assert changed == (expected | {"embeddings.norm.bias"}) - {last}
    assert all(torch.equal(source.weights[name], tensor) for name, tensor in before.items())
    assert {tensor.dtype for tensor in folded.weights.values()} == {torch.float32}


def test_folding_again_changes_nothing(
    small_config: SmallConfig, small_source: SmallSource
) -> None:
    folded = fold_residual_biases(small_source(small_config()))
    again = fold_residual_biases(folded)
    assert all(torch.equal(tensor, again.weights[name]) for name, tensor in folded.weights.items())


def test_the_norm_before_a_layer() -> None:
    assert residual_norm(0) == "embeddings.norm"
    assert residual_norm(2) == "layers.1.feed_forward.norm"


@pytest.mark.parametrize("forgotten", ["query", "value", "intermediate"])
def test_a_reader_that_is_forgotten_shows(
    forgotten: str,
    small_config: SmallConfig,
    small_source: SmallSource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tolerance of these tests is tight enough."""
    move = folding._move

    def forget(
        source: SourceModel, biases: Any, layer: str, norm: str, readers: dict[str, int]
    ) -> None:
        kept = {name: count for name, count in readers.items() if not name.endswith(forgotten)}
        move(source, biases, layer, norm, kept)

    source = small_source(small_config())
    monkeypatch.setattr(folding, "_move", forget)
    assert difference(fold_residual_biases(source), source) > 100 * TOLERANCE
