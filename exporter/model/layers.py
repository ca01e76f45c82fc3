"""The linear layer with groups, of which SqueezeBERT's convolutions and BERT's layers are cases."""

import torch
from torch import nn


class GroupedLinear(nn.Module):
    """A linear layer whose channels are split into groups that do not mix.

    Equal to a convolution of kernel size 1 with ``groups`` (``nn.Conv1d``), on channels-last data:
    output block g of ``outputs / groups`` channels sees only input block g of ``inputs / groups``
    channels. With one group it is an ordinary linear layer.

    ``weight``: [outputs, inputs / groups], ``bias``: [outputs].
    """

    def __init__(self, inputs: int, outputs: int, groups: int = 1) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., inputs] -> [..., outputs]."""
        if self.groups == 1:
            return nn.functional.linear(hidden, self.weight, self.bias)
        blocks = hidden.reshape(*hidden.shape[:-1], self.groups, -1)
        weight = self.weight.reshape(self.groups, -1, self.weight.shape[1])
        return torch.einsum("...gi,goi->...go", blocks, weight).flatten(-2) + self.bias
