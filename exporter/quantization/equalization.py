"""An equivalent model whose value channels are of one size, so that none of them rules a range.

What attention gives to the post-attention layer are averages of values, channel by channel. Row
``c`` of the value layer (and its bias) divided by ``s`` and column ``c`` of the post-attention
layer multiplied by ``s`` leave the function as it is, and with a power of two every sum of it to
the last bit (as long as no value is subnormal). Training never has to notice that one channel is
30 times as large as the others with a column 30 times as small; the range of a quantized tensor
does: the other channels keep 8 of 256 levels.

This is the equalization between layers of Nagel et al. 2019 (Data-Free Quantization, section 4.1),
kept to channels that stand out. Queries and keys can hide the same factors from each other, but
their products are computed in fp32, and weights have a scale for every row: nothing to repair.
"""

from dataclasses import replace

import torch

from exporter.model.config import SourceModel

#: Least factor by which a value row is larger than the median row, and its post-attention column
#: smaller than the median column (or both the other way round), before anything changes. Three
#: trained models (4 layers of 256 with groups, 6 of 384 without) and a seeded one (12 of 768) have
#: no channel above 1.27 and keep their bits.
STANDS_OUT = 2.0

#: A pass moves the medians that it measured against. One is enough where fewer than half of the
#: channels stand out; a few more leave a model that another call does not change.
_PASSES = 8


def equalize_values(model: SourceModel) -> SourceModel:
    """The same function with no value channel that stands out; ``model`` itself where none does.

    A channel is moved by what its row and its column have in common: a large row whose column is
    no smaller than others adds that much to the output, and dividing it would only move the outlier
    from the activations into the weights.
    """
    weights = dict(model.weights)
    changed = False
    for index in range(model.config.layers):
        attention = f"layers.{index}.attention"
        for _ in range(_PASSES):
            factors = _factors(
                weights[f"{attention}.value.weight"],
                weights[f"{attention}.output.weight"],
            )
            if bool((factors == 1).all()):
                break
            changed = True
            value, output = f"{attention}.value", f"{attention}.output.weight"
            weights[f"{value}.weight"] = weights[f"{value}.weight"] / factors[:, None]
            weights[f"{value}.bias"] = weights[f"{value}.bias"] / factors
            weights[output] = _columns_times(weights[output], factors)
    return replace(model, weights=weights) if changed else model


def _factors(value: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """[C] powers of two from the rows [C, inputs] and [outputs, C / groups]; 1: stays as it is."""
    groups = len(value) // output.shape[1]
    columns = output.reshape(groups, -1, output.shape[1]).square().sum(dim=1).sqrt().flatten()
    large, small = _above_median(value.square().sum(dim=1).sqrt()), -_above_median(columns)
    shared = torch.where(large * small > 0, torch.minimum(large.abs(), small.abs()), 0)
    least = torch.log2(torch.tensor(STANDS_OUT))
    return torch.exp2(torch.where(shared >= least, shared.round() * large.sign(), 0))


def _above_median(sizes: torch.Tensor) -> torch.Tensor:
    """[C] sizes -> [C] binary logarithms of size / median; 0 where either is 0."""
    ratio = torch.log2(sizes / sizes.median())
    return torch.where(ratio.isfinite(), ratio, 0)


def _columns_times(weight: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """[outputs, C / groups]: every column times the factor [C] of the channel that it reads."""
    groups = len(factors) // weight.shape[1]
    blocks = weight.reshape(groups, -1, weight.shape[1])
    return (blocks * factors.reshape(groups, 1, -1)).reshape(weight.shape)
