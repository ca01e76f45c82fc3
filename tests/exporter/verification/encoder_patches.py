"""Changes to the code that lowers to ExecuTorch, for the length of a test."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from exporter.targets.executorch import module
from exporter.targets.executorch.arithmetic import Arithmetic
from exporter.targets.executorch.module import ChainedLayer, GroupedChain, MobileEncoder

Patch = Callable[[pytest.MonkeyPatch], None]


def set_global(owner: Any, name: str, value: Any) -> Patch:
    """Replace something that a module or class refers to by its name."""
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def change_inputs(change: Callable[..., tuple[torch.Tensor, ...]]) -> Patch:
    """Change the three inputs of the whole model."""
    right = MobileEncoder.forward

    def wrong(
        self: MobileEncoder,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        return right(self, *change(input_ids, attention_mask, token_type_ids))

    return set_global(MobileEncoder, "forward", wrong)


def change_layer(change: Callable[..., tuple[Any, ...]]) -> Patch:
    """Change what goes into every layer: hidden states, mask, ``first_only``."""
    right = ChainedLayer.forward
    return set_global(ChainedLayer, "forward", lambda self, *given: right(self, *change(*given)))


def change_attend(change: Callable[..., tuple[torch.Tensor, ...]]) -> Patch:
    """Change query, key, value and mask of every attention."""
    right = ChainedLayer._attend
    return set_global(ChainedLayer, "_attend", lambda self, *given: right(self, *change(*given)))


def change_chain(
    layer: str,
    before: Callable[[list[torch.Tensor]], list[torch.Tensor]] = lambda blocks: blocks,
    after: Callable[[list[torch.Tensor]], list[torch.Tensor]] = lambda blocks: blocks,
) -> Patch:
    """Change what goes into the groups of a layer, or what comes out."""
    right = GroupedChain.forward

    def wrong(self: GroupedChain, blocks: list[torch.Tensor]) -> list[torch.Tensor]:
        return after(right(self, before(blocks))) if self.name == layer else right(self, blocks)

    return set_global(GroupedChain, "forward", wrong)


def change_linear(change: Callable[..., torch.nn.Module]) -> Patch:
    """Let ``change(right, name, weight, bias)`` make the linear layers; ``right`` does it well."""

    right = Arithmetic.linear

    def wrong(self: Arithmetic, *given: Any) -> torch.nn.Module:
        name, weight, bias, *group = given
        return change(lambda *other: right(self, *other, *group), name, weight, bias)

    return set_global(Arithmetic, "linear", wrong)


def change_norm(name: str, change: Callable[[torch.nn.LayerNorm], torch.nn.Module]) -> Patch:
    """Put something else in the place of one LayerNorm."""
    right = module._norm

    def wrong(model: Any, found: str) -> torch.nn.Module:
        norm = right(model, found)
        return change(norm) if found == name else norm

    return set_global(module, "_norm", wrong)
