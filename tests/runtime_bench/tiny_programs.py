"""Tiny ExecuTorch programs: the model of tiny_bundles, with and without buckets."""

import json
from collections.abc import Sequence

import numpy as np
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from tiny_bundles import HIDDEN, LABELS, VOCABULARY
from torch import nn

BOUND = 64


class Tiny(nn.Module):
    """logits = (embedding * mask) @ classifier; ``pooled``: their mean over the tokens."""

    def __init__(self, pooled: bool, weight_scale: float = 1.0) -> None:
        super().__init__()
        generator = np.random.default_rng(0)
        size = (VOCABULARY, HIDDEN)
        embedding = generator.standard_normal(size, dtype=np.float32) * np.float32(weight_scale)
        classifier = generator.standard_normal((HIDDEN, LABELS), dtype=np.float32)
        self.embedding = nn.Parameter(torch.from_numpy(embedding), requires_grad=False)
        self.classifier = nn.Parameter(torch.from_numpy(classifier.T.copy()), requires_grad=False)
        self.pooled = pooled

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = nn.functional.embedding(input_ids, self.embedding)
        hidden = hidden * attention_mask.unsqueeze(-1).float()
        if self.pooled:
            hidden = hidden.mean(1)
        return nn.functional.linear(hidden, self.classifier)


def tiny_program(
    *,
    pooled: bool = True,
    buckets: Sequence[int] = (),
    delegated: bool = True,
    named: bool = True,
    weight_scale: float = 1.0,
) -> bytes:
    """A .pte; ``named``: with the constant methods that say what it takes."""
    model = Tiny(pooled, weight_scale).eval()
    methods = {f"forward_{length}": _exported(model, length, None) for length in buckets}
    if not buckets:
        methods = {"forward": _exported(model, 8, torch.export.Dim("sequence", min=1, max=BOUND))}
    constants = {
        "input_names": json.dumps(["input_ids", "attention_mask"]),
        "output_names": json.dumps(["logits"]),
        "max_positions": BOUND,
        "task": "sequence-classification" if pooled else "token-classification",
        "buckets": json.dumps(list(buckets)),
    }
    edge = to_edge_transform_and_lower(
        methods,
        partitioner={name: [XnnpackPartitioner()] if delegated else [] for name in methods},
        constant_methods=constants if named else None,
    )
    return bytes(edge.to_executorch().buffer)


def _exported(
    model: nn.Module, length: int, axis: "torch.export.Dim | None"
) -> torch.export.ExportedProgram:
    example = tuple(torch.ones(1, length, dtype=torch.int64) for _ in range(2))
    shapes = None if axis is None else tuple({1: axis} for _ in example)
    return torch.export.export(model, example, dynamic_shapes=shapes)
