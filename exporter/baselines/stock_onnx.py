"""Stock exports for ONNX Runtime: ``torch.onnx.export``, then ``quantize_dynamic``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from exporter.baselines.base import StockArtifact
from exporter.checkpoint import Checkpoint
from exporter.progress import Progress
from exporter.quiet import quietly
from exporter.targets.base import INPUTS, OUTPUTS, Array, Session, TensorSpec, find_target

FP32_PATH, INT8_PATH = "onnx/model.onnx", "onnx/model_int8.onnx"

_DTYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}


def stock_artifacts(
    module: Any,
    checkpoint: Checkpoint,
    out: Path,
    progress: Progress,  # noqa: ARG001 - as for every target
) -> tuple[StockArtifact, ...]:
    """fp32 and int8; int8 is made from the fp32 artifact in ``out``."""
    names = OUTPUTS[checkpoint.model.task]

    def export(path: Path) -> None:
        export_stock(module, checkpoint, path)

    def quantize(path: Path) -> None:
        quantize_stock(out / FP32_PATH, path)

    def open_artifact(path: Path) -> OnnxSession:
        return OnnxSession(path, names)

    return tuple(
        StockArtifact("onnx", path, precision, "stock", verb, "ONNX Runtime", write, open_artifact)
        for path, precision, verb, write in (
            (FP32_PATH, "fp32", "torch.onnx.export", export),
            (INT8_PATH, "int8", "quantize_dynamic", quantize),
        )
    )


def open_written(path: Path) -> Session:
    """See ``exporter.baselines.base.open_stock``."""
    return find_target("onnx").open(path)


def export_stock(module: Any, checkpoint: Checkpoint, path: Path) -> None:
    """``torch.onnx.export`` of transformers' model with dynamic batch and sequence length.

    The defaults of the exporter, except: eager attention (SqueezeBERT knows no other), and the
    weights inside the file rather than beside it.
    """
    config = checkpoint.model.config
    # Sizes above one, so that neither axis is taken for a constant.
    ids = torch.ones(2, min(16, config.max_positions), dtype=torch.int64)
    example = {name: torch.zeros_like(ids) for name in INPUTS}
    example["attention_mask"] = ids
    batch = torch.export.Dim("batch")
    sequence = torch.export.Dim("sequence", max=config.max_positions)
    with quietly():
        torch.onnx.export(
            module,
            (),
            str(path),
            kwargs=example,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS[checkpoint.model.task]),
            dynamic_shapes={name: {0: batch, 1: sequence} for name in INPUTS},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def quantize_stock(source: Path, path: Path) -> None:
    """``quantize_dynamic`` with its defaults: int8 weights, one scale a tensor.

    Peers call it the same way: ``optimum-cli onnxruntime quantize --arm64`` (or ``--avx512``)
    takes QInt8 weights and, without ``--per_channel``, one scale a tensor; optimum's Python
    configuration takes one a channel.

    The shapes that the exporter noted inside the graph are removed first: with them the quantizer
    stops at "Inferred shape and existing shape differ".
    """
    model = onnx.load(source)
    del model.graph.value_info[:]
    with quietly():
        quantize_dynamic(model, path, weight_type=QuantType.QInt8)


class OnnxSession:
    """A stock artifact in ONNX Runtime, on the CPU."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self._names = names
        self.inputs = tuple(_tensor(value) for value in self._session.get_inputs())
        self.outputs = tuple(_tensor(value) for value in self._session.get_outputs())

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        found = self._session.run(list(self._names), dict(inputs))
        return dict(zip(self._names, found, strict=True))


def _tensor(value: onnxruntime.NodeArg) -> TensorSpec:
    return TensorSpec(value.name, _DTYPES[value.type], tuple(value.shape))
