"""Core ML: the CPU, GPU and Neural Engine of iPhones and Macs (iOS 17, macOS 14 and later)."""

from typing import Any

from exporter.targets.executorch.backends.coreml.dialect import DIALECT
from exporter.targets.executorch.backends.evaluated import EvaluatedBackend


class CoreML(EvaluatedBackend):
    """See ``exporter.targets.executorch.backends.base.Backend``."""

    name = "coreml"
    title = "Core ML"
    dialect = DIALECT
    not_run = (
        "not run on Core ML; the package in the file was executed by this project's interpreter"
    )

    def delegate(self, half: bool) -> Any:
        from exporter.targets.executorch.backends.coreml.delegate import CoreMLDelegate

        return CoreMLDelegate(half)


BACKEND = CoreML()
