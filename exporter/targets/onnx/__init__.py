"""ONNX, for ONNX Runtime on phones, browsers and servers.

Flavours: ``optimized`` uses the operators that ONNX Runtime (1.23 or newer) runs fastest;
``portable`` only standard operators of opset 20 (21 where layers are int4), for any runtime.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
import onnxruntime

import exporter
from exporter.model.config import EncoderConfig, SourceModel, Task
from exporter.quantization.mix import TABLE_METHODS
from exporter.targets.base import (
    Array,
    ArtifactSpec,
    Coverage,
    StoredTensor,
    Target,
    TensorSpec,
    code_hash,
)
from exporter.targets.onnx import stored
from exporter.targets.onnx.coverage import coverage
from exporter.targets.onnx.graph import save
from exporter.targets.onnx.lower import lower, stored_model
from exporter.targets.onnx.mixed import LINEAR_METHODS, scheme_of
from exporter.targets.onnx.session import OnnxSession

#: What is made unless something else is asked for.
USUAL_PRECISIONS = ("fp32", "fp16", "int8")
PRECISIONS = (*USUAL_PRECISIONS, "int4", "mixed")
FLAVOURS = ("optimized", "portable")


class OnnxTarget(Target):
    """See ``exporter.targets.base.Target``."""

    name = "onnx"
    suffix = ".onnx"
    precisions = PRECISIONS
    flavours = FLAVOURS
    backends = ()
    offers = f"onnx has {', '.join(PRECISIONS)}, each optimized or portable"
    methods = LINEAR_METHODS
    table_methods = tuple(TABLE_METHODS)

    def artifacts(
        self, precisions: tuple[str, ...], flavours: tuple[str, ...], backends: tuple[str, ...] = ()
    ) -> tuple[ArtifactSpec, ...]:
        """``onnx/model.onnx`` and its variants, named as on the Hub."""
        del backends
        return tuple(
            ArtifactSpec(self.name, precision, flavour, _path(precision, flavour))
            for flavour in flavours
            if flavour in FLAVOURS
            for precision in precisions or USUAL_PRECISIONS
            if precision in PRECISIONS
        )

    def scheme(self, precision: str) -> str:
        return scheme_of(precision)

    def not_run(self, spec: ArtifactSpec) -> str:
        del spec
        return ""

    def fingerprint(self) -> str:
        return code_hash(f"{onnx.__version__} {onnxruntime.__version__}", Path(__file__).parent)

    def stored_model(self, model: SourceModel, precision: str) -> SourceModel:
        return stored_model(model, precision)

    def write(
        self, model: SourceModel, spec: ArtifactSpec, path: Path, metadata: Mapping[str, str]
    ) -> None:
        metadata = {**metadata, "max_positions": str(model.config.max_positions)}
        lowered = lower(model, spec.precision, spec.flavour, metadata, exporter.__version__)
        save(lowered, path)
        del lowered
        if spec.flavour == "portable":
            # By its path: the checker takes no model above 2 GB from memory.
            onnx.checker.check_model(str(path), full_check=True)
        OnnxSession(path)  # a file that does not load is never handed on

    def open(self, path: Path, *, threads: int = 1, taps: bool = False) -> OnnxSession:
        return OnnxSession(path, threads, taps)

    def signature(self, path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        graph = stored.read(path, weights=False).graph
        return _specs(graph.input), _specs(graph.output)

    def metadata(self, path: Path) -> dict[str, str]:
        model = stored.read(path, weights=False)
        return {entry.key: entry.value for entry in model.metadata_props}

    def mix_text(self, path: Path) -> str | None:
        return self.metadata(path).get("mix")

    def smoothing(self, path: Path) -> dict[str, Array]:
        return stored.smoothing(stored.read(path))

    def static_grids(self, path: Path) -> dict[str, tuple[float, int]]:
        return stored.static_grids(stored.read(path))

    def lengths(self, path: Path) -> tuple[int, ...]:
        del path
        return ()

    def structure(self, path: Path) -> str:
        return stored.structure(stored.read(path))

    def stored_weights(
        self, path: Path, config: EncoderConfig, task: Task
    ) -> Iterator[StoredTensor]:
        del config, task  # the names and operators in the file say everything
        return stored.stored_weights(stored.read(path))

    def coverage(
        self, path: Path, precision: str, config: EncoderConfig, task: Task, labels: int
    ) -> Coverage:
        return coverage(stored.read(path), precision, config, task, labels)

    def files(self, path: Path) -> tuple[Path, ...]:
        return stored.files(path)


def _path(precision: str, flavour: str) -> str:
    parts = ["model"]
    if flavour == "portable":
        parts.append(flavour)
    if precision != "fp32":
        parts.append(precision)
    return f"onnx/{'_'.join(parts)}.onnx"


def _specs(values: list[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            value.name,
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
            tuple(dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim),
        )
        for value in values
    )


TARGET = OnnxTarget()
