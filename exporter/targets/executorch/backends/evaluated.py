"""What the backends have in common whose delegates do not run on this machine."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, SourceModel, Task
from exporter.quantization.schemes import fp16_compute
from exporter.quiet import apart
from exporter.targets.base import Array, Coverage, StoredTensor
from exporter.targets.executorch.arithmetic import Arithmetic
from exporter.targets.executorch.backends import stored
from exporter.targets.executorch.backends.evaluation import EvaluatedSession
from exporter.targets.executorch.backends.graph import Dialect
from exporter.targets.executorch.backends.graph_structure import graph_structure
from exporter.targets.executorch.lower import lower
from exporter.targets.executorch.module import MASKED, MobileEncoder
from exporter.targets.executorch.precisions import uniform


class EvaluatedBackend(ABC):
    """See ``exporter.targets.executorch.backends.base.Backend``.

    ``title`` is the delegate's name for users, ``dialect`` how it writes its programs down.
    """

    name: str
    title: str
    dialect: Dialect
    not_run: str
    precisions: tuple[str, ...] = ("fp16", "fp32")
    default_precisions: tuple[str, ...] = ("fp16",)
    flavours: tuple[str, ...] = ("optimized",)

    @abstractmethod
    def delegate(self, half: bool) -> Any:
        """ExecuTorch's partitioner for fp16 (``half``) or fp32, whose import prints."""

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
        mix = uniform("fp32", model.config, model.task)
        module = MobileEncoder(model, Arithmetic(mix), masked).eval()
        with apart():
            try:
                lower(model, module, flavour, metadata, path, lambda: self.delegate(half))
            except NotImplementedError as error:  # the partitioner's word for what it cannot take
                raise UserError(
                    f"{self.title} does not take this model: {str(error).splitlines()[0]}",
                    "Leave the backend out: --backend xnnpack",
                ) from error

    def open(self, path: Path, threads: int, taps: bool) -> EvaluatedSession:
        del threads
        return EvaluatedSession(path, self.dialect, taps)

    def structure(self, path: Path) -> str:
        return graph_structure(path, self.dialect)

    def stored_weights(
        self, path: Path, config: EncoderConfig, task: Task
    ) -> Iterator[StoredTensor]:
        return stored.stored_weights(path, self.dialect, config, task)

    def coverage(
        self, path: Path, precision: str, config: EncoderConfig, task: Task, labels: int
    ) -> Coverage:
        return stored.coverage(path, self.dialect, precision, config, task, labels)

    def smoothing(self, path: Path) -> Mapping[str, Array]:
        del path  # fp32 and fp16 quantize no input
        return {}
