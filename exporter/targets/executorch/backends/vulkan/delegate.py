"""The Vulkan delegate: which operators it takes."""

from collections.abc import Callable

import torch
from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner


class VulkanDelegate(VulkanPartitioner):  # type: ignore[misc]
    """ExecuTorch's partitioner: fp16 (``half``) or fp32.

    Linear layers stay whole: on a slice they would become ``expand`` and ``bmm``, and the delegate
    does not take an ``expand`` whose length is dynamic.
    """

    def __init__(self, half: bool) -> None:
        # Without the first, operators that cannot follow a dynamic length are taken all the same.
        super().__init__({"require_dynamic_shapes": True, "force_fp16": half})

    def ops_to_not_decompose(
        self, ep: torch.export.ExportedProgram
    ) -> tuple[list[torch._ops.OpOverload], Callable[[torch.fx.Node], bool] | None]:
        operators, check = super().ops_to_not_decompose(ep)
        return [*operators, torch.ops.aten.linear.default], check
