"""Stock exports for ExecuTorch: ``torch.export``, lowered to the XNNPACK backend.

int8 is the PT2E recipe of ExecuTorch's documentation
(docs/source/backends/xnnpack/xnnpack-quantization.md).
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from exporter.baselines.base import (
    KeptWeights,
    StockArtifact,
)
from exporter.bundle_folder import artifact_metadata
from exporter.checkpoint import Checkpoint
from exporter.model.config import Task
from exporter.progress import Progress
from exporter.quiet import quietly, without_native_errors
from exporter.targets.base import INPUTS, OUTPUTS, Array, Session, TensorSpec

FP32_PATH = "executorch/model.pte"
SDPA_PATH = "executorch/model_sdpa.pte"
INT8_PATH = "executorch/model_int8.pte"

_METHOD = "forward"
_EXAMPLE_LENGTH = 16  # above one, so that the sequence is not taken for a constant
_DTYPES = {4: "int64", 6: "float32"}  # runtime/core/portable_type/scalar_type.h of ExecuTorch
_POOLED_TASKS: tuple[Task, ...] = ("sequence-classification",)


def stock_artifacts(
    module: Any,
    checkpoint: Checkpoint,
    out: Path,  # noqa: ARG001 - as for every target
    progress: Progress,
) -> tuple[StockArtifact, ...]:
    """fp32 with eager attention, fp32 with sdpa where the family has it, and int8."""
    task = checkpoint.model.task

    def export(path: Path) -> None:
        program = export_stock(module, checkpoint)
        lower_stock(program, path, _constants(checkpoint, "fp32", "stock"))

    def export_sdpa(path: Path) -> None:
        module.set_attn_implementation("sdpa")
        try:
            program = export_stock(module, checkpoint)
        finally:
            module.set_attn_implementation("eager")
        lower_stock(program, path, _constants(checkpoint, "fp32", "stock-sdpa"))

    def quantize(path: Path) -> KeptWeights:
        program, kept = quantize_stock(export_stock(module, checkpoint), checkpoint)
        lower_stock(program, path, _constants(checkpoint, "int8", "stock"))
        return kept

    def artifact(
        path: str,
        precision: str,
        verb: str,
        write: Callable[[Path], KeptWeights | None],
        flavour: str = "stock",
    ) -> StockArtifact:
        return StockArtifact(
            target="executorch",
            path=path,
            precision=precision,
            flavour=flavour,
            verb=verb,
            runtime="ExecuTorch",
            write=write,
            open=lambda file: PteSession(file, task),
        )

    artifacts = [artifact(FP32_PATH, "fp32", "to_edge_transform_and_lower", export)]
    if type(module)._supports_sdpa:
        artifacts.append(
            artifact(
                SDPA_PATH, "fp32", "to_edge_transform_and_lower", export_sdpa, flavour="stock-sdpa"
            )
        )
    else:
        name = type(module).__name__
        progress.note(f"{SDPA_PATH}: skipped, {name} knows only its own attention")
    artifacts.append(artifact(INT8_PATH, "int8", "convert_pt2e, lowered", quantize))
    return tuple(artifacts)


def open_written(path: Path) -> Session:
    """See ``exporter.baselines.base.open_stock``."""
    from exporter.targets.executorch.session import ExecutorchSession

    return ExecutorchSession(path)


def export_stock(module: Any, checkpoint: Checkpoint) -> torch.export.ExportedProgram:
    """``torch.export.export`` of transformers' model: batch 1, any length up to its positions."""
    example, shapes = _example(checkpoint)
    with quietly(), torch.no_grad():
        return torch.export.export(
            _Positional(module, OUTPUTS[checkpoint.model.task]),
            example,
            dynamic_shapes=shapes,
        )


def quantize_stock(
    program: torch.export.ExportedProgram, checkpoint: Checkpoint
) -> tuple[torch.export.ExportedProgram, KeptWeights]:
    """The documentation's recipe: symmetric int8 weights by channel, dynamic activations.

    The quantizer makes floats of all numbers that are added, also of the 0 that transformers adds
    to the positions in its attention mask, which then are no indices any more. These additions are
    removed first: they change nothing, and with them there would be no int8 model.
    """
    with quietly(), torch.no_grad():
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        example, shapes = _example(checkpoint)
        quantizer = XNNPACKQuantizer().set_global(
            get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
        )
        graph = program.module()
        _remove_additions_of_zero(graph)
        graph = prepare_pt2e(graph, quantizer)
        graph(*example)  # the weights' ranges; those of the activations are taken at run time
        graph = convert_pt2e(graph)
        kept = _kept_weights(graph)
        return torch.export.export(graph, example, dynamic_shapes=shapes), kept


def lower_stock(
    program: torch.export.ExportedProgram, path: Path, constants: Mapping[str, str | int]
) -> None:
    """Lower ``program`` to XNNPACK and write it to ``path``, ``constants`` as methods."""
    with quietly(), without_native_errors(), torch.no_grad():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

        edge = to_edge_transform_and_lower(
            program,
            partitioner=[XnnpackPartitioner()],
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
            constant_methods=dict(constants),
        )
        del program
        executable = edge.to_executorch()
        del edge
        with path.open("wb") as stream:
            executable.write_to_file(stream)


class _Positional(nn.Module):
    """transformers' model with its inputs in order and a tuple of the task's outputs."""

    def __init__(self, module: Any, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module, self.names = module, names

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        result = self.module(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )
        return tuple(result[name] for name in self.names)


class PteSession:
    """A stock artifact in ExecuTorch's runtime, on the CPU."""

    def __init__(self, path: Path, task: Task) -> None:
        with quietly(), without_native_errors():
            import executorch.kernels.quantized  # noqa: F401 - registers operators
            from executorch.extension.pybindings.portable_lib import _load_for_executorch

            self._module = _load_for_executorch(str(path))
            meta = self._module.method_meta(_METHOD)
        self._names = OUTPUTS[task]
        self.inputs = tuple(
            _tensor(name, meta.input_tensor_meta(index), by_token=True)
            for index, name in enumerate(INPUTS)
        )
        self.outputs = tuple(
            _tensor(name, meta.output_tensor_meta(index), by_token=task not in _POOLED_TASKS)
            for index, name in enumerate(self._names)
        )

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One row after the other: the batch is always 1."""
        rows = []
        for row in zip(*(inputs[name] for name in INPUTS), strict=True):
            feed = tuple(torch.tensor(values).unsqueeze(0) for values in row)
            with without_native_errors():
                rows.append(self._module.run_method(_METHOD, feed))
        return {
            name: torch.cat(values).numpy()
            for name, values in zip(self._names, zip(*rows, strict=True), strict=True)
        }


def _tensor(name: str, info: Any, *, by_token: bool) -> TensorSpec:
    """The runtime tells of a dynamic axis only its upper bound; every export here has one."""
    first, *rest = info.sizes()
    shape = (first, "sequence", *rest[1:]) if by_token else (first, *rest)
    return TensorSpec(name, _DTYPES[info.dtype()], shape)


def _example(checkpoint: Checkpoint) -> tuple[tuple[torch.Tensor, ...], Any]:
    """Inputs to trace with, and which of their axes are dynamic."""
    positions = checkpoint.model.config.max_positions
    sequence = torch.export.Dim("sequence", min=1, max=positions)
    ids = torch.ones(1, min(_EXAMPLE_LENGTH, positions), dtype=torch.int64)
    example = (ids, torch.ones_like(ids), torch.zeros_like(ids))
    return example, tuple({1: sequence} for _ in example)


def _constants(checkpoint: Checkpoint, precision: str, flavour: str) -> dict[str, str | int]:
    """What our own artifacts carry too, so that the same clients can run these."""
    config = checkpoint.model.config
    return {
        **artifact_metadata(checkpoint, precision, flavour),
        "max_length": checkpoint.max_length,
        "max_positions": config.max_positions,
        "vocab_size": config.vocab_size,
        "token_types": config.token_types,
        "layers": config.layers,
        "hidden_size": config.hidden_size,
        "input_names": json.dumps(INPUTS),
        "output_names": json.dumps(OUTPUTS[checkpoint.model.task]),
    }


def _remove_additions_of_zero(graph: Any) -> None:
    """Integers only: all that the quantizer spoils."""
    for node in list(graph.graph.nodes):
        if node.target is not torch.ops.aten.add.Tensor or type(node.args[1]) is not int:
            continue
        if node.args[1] == 0 and not node.meta["val"].is_floating_point():
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
    graph.recompile()


def _kept_weights(graph: Any) -> KeptWeights:
    """Of the constants that the graph reads, those with a matrix's shape: biases are never int8."""
    weights = []
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            owner, _, name = node.target.rpartition(".")
            value = getattr(graph.get_submodule(owner), name)
            if isinstance(value, torch.Tensor) and value.ndim > 1 and value.dtype != torch.int64:
                weights.append(value.dtype == torch.float32)
    return KeptWeights(count=sum(weights), total=len(weights))
