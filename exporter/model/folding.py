"""An equivalent model in which the layers before a residual have no bias.

A matrix product with the residual as its addend then needs no separate addition. The bias ``b``
of such a layer moves into the shift of the LayerNorm that makes the residual, and the layers that
also read that LayerNorm lose ``W b`` from their own bias:

    W2 f(W1 x + b1) + b + x  =  W2 f(W1 x' + (b1 - W1 b)) + x'    with    x' = x + b

Exact in real arithmetic. The result is an ordinary SourceModel of the same shape, so that
everything which holds for models holds for it.
"""

from dataclasses import replace

import torch

from exporter.model.config import EncoderConfig, SourceModel


def fold_residual_biases(source: SourceModel) -> SourceModel:
    """The same function with every ``attention.output`` and ``feed_forward.output`` bias zero.

    The sums are made in fp64 and rounded once.
    """
    groups = source.config.groups
    counts = {"query": groups.query, "key": groups.key, "value": groups.value}
    weights = {name: tensor.double() for name, tensor in source.weights.items() if "bias" in name}
    for index in range(source.config.layers):
        layer = f"layers.{index}"
        attention, feed_forward = f"{layer}.attention", f"{layer}.feed_forward"
        readers = {f"{attention}.{part}": count for part, count in counts.items()}
        _move(source, weights, f"{attention}.output", residual_norm(index), readers)
        readers = {f"{feed_forward}.intermediate": groups.intermediate}
        _move(source, weights, f"{feed_forward}.output", f"{attention}.norm", readers)
    folded = {name: tensor.float() for name, tensor in weights.items()}
    return replace(source, weights={**source.weights, **folded})


def residual_norm(index: int) -> str:
    """The LayerNorm whose output is the input of layer ``index``."""
    return f"layers.{index - 1}.feed_forward.norm" if index else "embeddings.norm"


def folded_biases(config: EncoderConfig) -> tuple[str, ...]:
    """Names of the biases that are zero after folding."""
    return tuple(
        f"layers.{index}.{part}.output.bias"
        for index in range(config.layers)
        for part in ("attention", "feed_forward")
    )


def _move(
    source: SourceModel,
    biases: dict[str, torch.Tensor],
    layer: str,
    norm: str,
    readers: dict[str, int],
) -> None:
    moved = biases[f"{layer}.bias"]
    biases[f"{norm}.bias"] = biases[f"{norm}.bias"] + moved
    for reader, groups in readers.items():
        weight = source.weights[f"{reader}.weight"].double()
        blocks = weight.reshape(groups, -1, weight.shape[1])
        product = torch.einsum("goi,gi->go", blocks, moved.reshape(groups, -1)).flatten()
        biases[f"{reader}.bias"] = biases[f"{reader}.bias"] - product
    biases[f"{layer}.bias"] = torch.zeros_like(moved)
