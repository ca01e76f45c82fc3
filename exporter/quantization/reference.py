"""What an artifact is compared with: a model in PyTorch that can be run part by part."""

from dataclasses import dataclass

import torch

from exporter.model.config import SourceModel
from exporter.model.encoder import EncoderModel, build_module


@dataclass(frozen=True)
class Reference:
    """A model that computes exactly what a scheme defines, in fp32 arithmetic of PyTorch."""

    module: EncoderModel

    def embed(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor) -> torch.Tensor:
        """[B, T] int64 twice -> [B, T, H]."""
        return self.module.embed(input_ids, token_type_ids)

    def layer(
        self, index: int, hidden: torch.Tensor, attention_mask: torch.Tensor, first_only: bool
    ) -> torch.Tensor:
        """[B, T, H], [B, T] -> [B, T, H], or [B, 1, H] with ``first_only``."""
        bias = self.module.mask_bias(attention_mask)
        return self.module.layer(index, hidden, bias, first_only=first_only)

    def head(self, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
        """[B, T, H] (or [B, 1, H]) -> the outputs of the task."""
        outputs: dict[str, torch.Tensor] = self.module.head(hidden)
        return outputs

    def run(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The whole model, computing only the first token's row of the last layer for a
        classifier, as the artifacts do: ranges of activations depend on what is computed."""
        first_token = self.module.task == "sequence-classification"
        hidden = self.embed(input_ids, token_type_ids)
        last = self.module.config.layers - 1
        for index in range(last + 1):
            hidden = self.layer(index, hidden, attention_mask, first_token and index == last)
        return self.head(hidden)


def plain_reference(model: SourceModel) -> Reference:
    """The reference of a scheme that computes in fp32 on the given weights."""
    return Reference(build_module(model))
