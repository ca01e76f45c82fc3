"""Attention products with operands on 8-bit grids: what they would do to a classifier.

No artifact computes them so: products are fp32 in every mix, and no unit of it. Their sensitivity
is measured to tell what that is worth.
"""

from collections.abc import Callable

import torch
from torch import nn

from exporter.model.config import EncoderConfig
from exporter.quantization.activations import fake_quantize
from exporter.quantization.mix import Inputs, Unit


def product_units(config: EncoderConfig) -> tuple[Unit, ...]:
    """The products of every layer. They have no weights, and so no members."""
    return tuple(
        Unit(f"layers.{index}.attention.products", "products", index, ())
        for index in range(config.layers)
    )


class QuantizedProducts(nn.Module):
    """Queries, keys, probabilities and values on 256 levels before they are multiplied.

    By the range of the ``tensor`` (all heads of one example), or by ``token``: the range of what is
    summed up for one result, the finest grid that a product of integers allows (queries, keys and
    probabilities by row, values by channel).
    """

    def __init__(self, inputs: Inputs, valid: Callable[[], torch.Tensor]) -> None:
        """``valid`` gives fp32 [B, T, 1] of the batch at hand: 1 for tokens, 0 for padding."""
        super().__init__()
        if inputs not in ("tensor", "token"):
            raise ValueError(f"no grid of products: {inputs}")
        self._by_token, self._valid = inputs == "token", valid

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask_bias: torch.Tensor,
    ) -> torch.Tensor:
        """As of ``AttentionProducts``."""
        # Every range includes 0, so that zeros add nothing to it, and nobody reads padding. Queries
        # of zero give equal probabilities, none larger than the largest of another query.
        tokens = self._valid()[:, None]
        rows = tokens[:, :, : query.shape[2]]
        scores = self._grid(query * rows) @ self._grid(key * tokens).transpose(-1, -2)
        scores = scores * query.shape[-1] ** -0.5 + mask_bias
        probabilities = self._grid(scores.softmax(dim=-1))
        return probabilities @ self._grid((value * tokens).transpose(-1, -2)).transpose(-1, -2)

    def _grid(self, operand: torch.Tensor) -> torch.Tensor:
        rows = operand if self._by_token else operand.flatten(1)
        return fake_quantize(rows, by_token=True).reshape(operand.shape)
