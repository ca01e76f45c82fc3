"""Vulkan: GPUs of Android phones."""

from typing import Any

from exporter.targets.executorch.backends.evaluated import EvaluatedBackend
from exporter.targets.executorch.backends.vulkan.dialect import DIALECT


class Vulkan(EvaluatedBackend):
    """See ``exporter.targets.executorch.backends.base.Backend``."""

    name = "vulkan"
    title = "Vulkan"
    dialect = DIALECT
    #: In the versions whose source could be read, its shader computes every GELU in the tanh form,
    #: whatever the program says.
    not_run = (
        "not run on Vulkan, which approximates GELU; the program in the file was evaluated in "
        "PyTorch"
    )

    def delegate(self, half: bool) -> Any:
        from exporter.targets.executorch.backends.vulkan.delegate import VulkanDelegate

        return VulkanDelegate(half)


BACKEND = Vulkan()
