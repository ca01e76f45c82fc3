"""XNNPACK: optimized products for Arm and x86 CPUs, on every phone."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from executorch.exir import EdgeProgramManager

from exporter.model.config import EncoderConfig, SourceModel, Task
from exporter.quantization.mix import MIXED
from exporter.quantization.schemes.mixed import mix_of, smoothed
from exporter.targets.base import Array, Coverage, StoredTensor
from exporter.targets.executorch.arithmetic import Arithmetic
from exporter.targets.executorch.backends.xnnpack.coverage import coverage
from exporter.targets.executorch.backends.xnnpack.delegate import XnnpackDelegate, layer_order
from exporter.targets.executorch.backends.xnnpack.smoothing import read_smoothing
from exporter.targets.executorch.backends.xnnpack.stored import stored_weights
from exporter.targets.executorch.lower import lower
from exporter.targets.executorch.module import MobileEncoder
from exporter.targets.executorch.precisions import mix_for
from exporter.targets.executorch.program import read_program
from exporter.targets.executorch.session import ExecutorchSession
from exporter.targets.executorch.structure import structure


class Xnnpack:
    """See ``exporter.targets.executorch.backends.base.Backend``."""

    name = "xnnpack"
    precisions = ("fp32", "int8", "int4", MIXED)
    default_precisions = ("fp32", "int8")
    flavours = ("optimized", "buckets")
    not_run = ""

    def lower(
        self,
        model: SourceModel,
        precision: str,
        flavour: str,
        metadata: Mapping[str, str],
        path: Path,
    ) -> None:
        model = replace(model, mix=mix_for(model, precision))
        module = MobileEncoder(smoothed(model), Arithmetic(mix_of(model))).eval()
        layers = module.layers_by_path()

        def describe(edge: EdgeProgramManager) -> dict[str, str]:
            return {"layer_order": json.dumps(layer_order(edge, layers))}

        lower(model, module, flavour, metadata, path, XnnpackDelegate, describe)

    def open(self, path: Path, threads: int, taps: bool) -> ExecutorchSession:
        return ExecutorchSession(path, threads, taps)

    def structure(self, path: Path) -> str:
        return structure(read_program(path))

    def stored_weights(
        self, path: Path, config: EncoderConfig, task: Task
    ) -> Iterator[StoredTensor]:
        return stored_weights(read_program(path), config, task)

    def coverage(
        self, path: Path, precision: str, config: EncoderConfig, task: Task, labels: int
    ) -> Coverage:
        return coverage(read_program(path), precision, config, task, labels)

    def smoothing(self, path: Path) -> Mapping[str, Array]:
        return read_smoothing(read_program(path)).factors


BACKEND = Xnnpack()
