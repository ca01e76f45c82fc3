"""Core ML: the CPU, GPU and Neural Engine of iPhones and Macs (iOS 17, macOS 14 and later)."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, SourceModel, Task
from exporter.quantization.schemes import fp16_compute
from exporter.quiet import apart
from exporter.targets.base import Coverage, StoredTensor
from exporter.targets.executorch.arithmetic import FloatArithmetic
from exporter.targets.executorch.backends import stored
from exporter.targets.executorch.backends.coreml.dialect import DIALECT
from exporter.targets.executorch.backends.evaluation import EvaluatedSession
from exporter.targets.executorch.backends.graph_structure import graph_structure
from exporter.targets.executorch.lower import lower
from exporter.targets.executorch.module import MASKED, MobileEncoder


class CoreML:
    """See ``exporter.targets.executorch.backends.base.Backend``."""

    name = "coreml"
    precisions = ("fp16", "fp32")
    default_precisions = ("fp16",)
    flavours = ("optimized",)
    not_run = "not run on Core ML; the program in the file was evaluated in PyTorch"

    def lower(
        self,
        model: SourceModel,
        precision: str,
        flavour: str,
        metadata: Mapping[str, str],
        path: Path,
    ) -> None:
        half = precision == "fp16"
        model = fp16_compute.round_weights(model) if half else model
        masked = fp16_compute.MASKED if half else MASKED
        module = MobileEncoder(model, FloatArithmetic(), masked).eval()
        with apart():
            from exporter.targets.executorch.backends.coreml.delegate import CoreMLDelegate

            try:
                lower(model, module, flavour, metadata, path, lambda: CoreMLDelegate(half))
            except NotImplementedError as error:
                raise UserError(
                    f"Core ML does not take this model: {str(error).splitlines()[0]}",
                    "Leave the backend out: --backend xnnpack",
                ) from error

    def open(self, path: Path, threads: int, taps: bool) -> EvaluatedSession:
        del threads
        return EvaluatedSession(path, DIALECT, taps)

    def structure(self, path: Path) -> str:
        return graph_structure(path, DIALECT)

    def stored_weights(
        self, path: Path, config: EncoderConfig, task: Task
    ) -> Iterator[StoredTensor]:
        return stored.stored_weights(path, DIALECT, config, task)

    def coverage(
        self, path: Path, precision: str, config: EncoderConfig, task: Task, labels: int
    ) -> Coverage:
        return stored.coverage(path, DIALECT, precision, config, task, labels)


BACKEND = CoreML()
