"""Smoothing factors and static bounds, from what enters the layers on calibration texts.

A channel whose values are large leaves few levels for the others of its tensor. SmoothQuant (Xiao
et al. 2022, equation 4) moves a part of its size into the weights: inputs are divided by

    s = largest input ** alpha / largest weight ** (1 - alpha)

channel by channel, and the columns of the weights that read them multiplied. With powers of two
that is exact, see ``exporter.quantization.mix``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from exporter.errors import UserError
from exporter.model.config import SourceModel
from exporter.model.layers import GroupedLinear
from exporter.quantization.activations import replace_inputs
from exporter.quantization.equalization import equalize_values
from exporter.quantization.mix import Float32, smoothing_sites
from exporter.quantization.reference import plain_reference

Rows = Iterable[Mapping[str, npt.NDArray[Any]]]

#: Share of a channel's size that goes into the weights. On a MiniLM whose activations have outliers
#: (500 pairs, int8 weights and tables) 0.5 takes 29 % off the divergence of labels with one range a
#: tensor and 42 % with one a token. With 0.7 it is 36 and 24 %, with 0.3 14 and 24 %. A grouped
#: model of 4 layers without outliers has factors of 1, but at one site.
ALPHA = 0.5


@dataclass(frozen=True)
class Observations:
    """Smallest and largest value of every channel [C] that enters a linear layer, by its name."""

    lowest: Mapping[str, Float32]
    highest: Mapping[str, Float32]

    def magnitude(self, layer: str) -> Float32:
        """[C]: the largest absolute value of every channel."""
        magnitude: Float32 = np.maximum(np.abs(self.lowest[layer]), np.abs(self.highest[layer]))
        return magnitude


def observe(model: SourceModel, rows: Rows) -> Observations:
    """What enters the layers of the (equalized) model in fp32, without smoothing.

    ``rows`` are inputs by name, int64 [1, T] each; every row runs by itself, as on a phone.
    UserError without any row, and for values that are not finite.
    """
    lowest: dict[str, torch.Tensor] = {}
    highest: dict[str, torch.Tensor] = {}

    def note(name: str, _: GroupedLinear, tensor: torch.Tensor) -> torch.Tensor:
        low, high = torch.aminmax(tensor.flatten(0, -2), dim=0)
        lowest[name] = torch.minimum(low, lowest.get(name, low))
        highest[name] = torch.maximum(high, highest.get(name, high))
        return tensor

    reference = plain_reference(equalize_values(model))
    replace_inputs(reference.module, note)
    with torch.no_grad():
        for row in rows:
            reference.run(**{name: torch.from_numpy(values) for name, values in row.items()})
    if not lowest:
        raise UserError(
            "There is no text to calibrate with.",
            "Name a file of typical texts with --calibration-data FILE.",
        )
    for name in lowest:
        if not bool((lowest[name].isfinite() & highest[name].isfinite()).all()):
            raise UserError(
                f"What enters {name} is not finite on a calibration text.",
                "The checkpoint cannot be used.",
            )
    return Observations(
        {name: values.numpy() for name, values in lowest.items()},
        {name: values.numpy() for name, values in highest.items()},
    )


def smoothing_factors(model: SourceModel, rows: Rows) -> dict[str, Float32]:
    """``Mix.smoothing`` of every site: float32 [hidden size], powers of two. See ``observe``."""
    seen = observe(model, rows)
    weights = equalize_values(model).weights
    found = {}
    for site in smoothing_sites(model.config):
        readers = _readers(site)
        columns = [
            _largest_by_channel(weights[f"{r}.weight"], model.config.hidden_size) for r in readers
        ]
        found[site] = _factors(seen.magnitude(readers[0]), np.max(columns, axis=0))
    return found


def static_bounds(model: SourceModel, rows: Rows) -> dict[str, tuple[float, float]]:
    """``Mix.bounds`` of every linear layer of a model with a mix: the range of its input after
    smoothing, over all rows, 0 included. See ``observe``."""
    seen = observe(model, rows)
    found = {}
    for name, lowest in seen.lowest.items():
        factors = None if model.mix is None else model.mix.factors(name)
        divisor = np.float32(1) if factors is None else factors
        low, high = (lowest / divisor).min(), (seen.highest[name] / divisor).max()
        found[name] = (min(float(low), 0.0), max(float(high), 0.0))
    return found


def _readers(site: str) -> tuple[str, ...]:
    """The layers that read the site's tensor."""
    parts = ("intermediate",) if site.endswith("feed_forward") else ("query", "key", "value")
    return tuple(f"{site}.{part}" for part in parts)


def _largest_by_channel(weight: torch.Tensor, channels: int) -> Float32:
    """[outputs, channels / groups] -> [channels]: the largest weight that reads each channel."""
    groups = channels // weight.shape[1]
    blocks = weight.reshape(groups, -1, weight.shape[1])
    found: Float32 = blocks.abs().amax(dim=1).flatten().numpy()
    return found


def _factors(inputs: Float32, weights: Float32) -> Float32:
    """[C], [C] -> powers of two around 1. A channel that is never used, or never read, has 1."""
    used = (inputs > 0) & (weights > 0)
    with np.errstate(divide="ignore"):
        power = ALPHA * np.log2(inputs) - (1 - ALPHA) * np.log2(weights)
    middle = np.median(power[used]) if used.any() else 0.0
    factors: Float32 = np.exp2(np.where(used, np.rint(power - middle), 0)).astype(np.float32)
    return factors
