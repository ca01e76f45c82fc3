"""Outlier channels planted in a model without changing its function: what training may hide."""

from dataclasses import replace

import numpy as np
import torch

from exporter.model.config import SourceModel


def plant_in_values(
    model: SourceModel, factor: float = 30, channels: int = 4, seed: int = 0
) -> SourceModel:
    """A few value channels times ``factor`` in every layer, their output columns over it."""
    weights = dict(model.weights)
    generator = np.random.default_rng(seed)
    for index in range(model.config.layers):
        attention = f"layers.{index}.attention"
        factors = _factors(model, generator, factor, channels)
        _scale_rows(weights, f"{attention}.value", factors)
        output = weights[f"{attention}.output.weight"]
        groups = len(factors) // output.shape[1]
        blocks = output.reshape(groups, -1, output.shape[1]) / factors.reshape(groups, 1, -1)
        weights[f"{attention}.output.weight"] = blocks.reshape(output.shape)
    return replace(model, weights=weights)


def plant_in_queries(
    model: SourceModel, factor: float = 30, channels: int = 4, seed: int = 0
) -> SourceModel:
    """A few query channels times ``factor`` in every layer, the same channels of keys over it."""
    weights = dict(model.weights)
    generator = np.random.default_rng(seed)
    for index in range(model.config.layers):
        factors = _factors(model, generator, factor, channels)
        _scale_rows(weights, f"layers.{index}.attention.query", factors)
        _scale_rows(weights, f"layers.{index}.attention.key", 1 / factors)
    return replace(model, weights=weights)


def _factors(
    model: SourceModel, generator: np.random.Generator, factor: float, channels: int
) -> torch.Tensor:
    factors = torch.ones(model.config.hidden_size)
    factors[generator.choice(len(factors), channels, replace=False)] = factor
    return factors


def _scale_rows(weights: dict[str, torch.Tensor], layer: str, factors: torch.Tensor) -> None:
    weights[f"{layer}.weight"] = weights[f"{layer}.weight"] * factors[:, None]
    weights[f"{layer}.bias"] = weights[f"{layer}.bias"] * factors
