"""From a module to a .pte file, the same way for every backend."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from executorch.backends.transforms.remove_clone_ops import RemoveCloneOpsTransform
from executorch.exir import EdgeCompileConfig, EdgeProgramManager, to_edge_transform_and_lower
from executorch.exir.backend.partitioner import Partitioner

from exporter.model.config import EncoderConfig, SourceModel
from exporter.quiet import quietly
from exporter.targets.base import INPUTS, OUTPUTS
from exporter.targets.executorch.module import MobileEncoder

METHOD = "forward"
#: Metadata that is a number; each entry of the metadata is a constant method.
INTEGERS = ("max_length", "max_positions")
#: Sizes that a caller needs: to check ids, and to reserve memory for hidden states.
SIZES = ("vocab_size", "token_types", "layers", "hidden_size")
#: Constant methods that say how to call the others, or what lies where in the file.
CALLING = (*SIZES, "input_names", "output_names", "buckets", "layer_order")
#: Lengths of the flavour ``buckets``, up to the model's own bound.
BUCKETS = (32, 64, 128, 256, 384, 512)


def lower(
    model: SourceModel,
    module: MobileEncoder,
    flavour: str,
    metadata: Mapping[str, str],
    path: Path,
    partitioner: Callable[[], Partitioner],
    describe: Callable[[EdgeProgramManager], Mapping[str, Any]] = lambda _: {},
) -> None:
    """Write the .pte of ``module`` to ``path``. Inputs of every method: three int64 [1, T].

    ``optimized`` has the one method ``forward`` for T from 1 to the model's positions; ``buckets``
    has a method for each of a few fixed lengths, and they share their weights. ``describe`` gives
    more constant methods, from what the delegate was handed.
    """
    fixed = flavour == "buckets"
    lengths = buckets(model.config) if fixed else (model.config.max_positions,)
    with quietly():
        programs = {
            method_name(length) if fixed else METHOD: _export(module, length, dynamic=not fixed)
            for length in lengths
        }
        edge = to_edge_transform_and_lower(
            programs,
            # A permuted tensor is copied as it is permuted: what makes it contiguous is idle.
            transform_passes=[RemoveCloneOpsTransform()],
            partitioner={name: [partitioner()] for name in programs},
            compile_config=EdgeCompileConfig(_check_ir_validity=False, _skip_dim_order=True),
            constant_methods=_constants(model, metadata, lengths if fixed else ()),
        )
        del programs
        edge._config_methods.update(describe(edge))
        program = edge.to_executorch()
        del edge
        # A file that looks finished is finished.
        partial = path.with_name(f"{path.name}.partial")
        try:
            with partial.open("wb") as file:
                program.write_to_file(file)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def buckets(config: EncoderConfig) -> tuple[int, ...]:
    """The lengths of the flavour ``buckets`` for a model of these sizes."""
    longest = config.max_positions
    return (*(length for length in BUCKETS if length < longest), longest)


def method_name(length: int) -> str:
    """Name of the method for ``length`` tokens in the flavour ``buckets``."""
    return f"{METHOD}_{length}"


def _export(module: MobileEncoder, length: int, *, dynamic: bool) -> torch.export.ExportedProgram:
    example = tuple(torch.ones(1, length, dtype=torch.int64) for _ in INPUTS)
    shapes = None
    if dynamic and length > 2:
        # From 2: PyTorch takes a length of 1 for a constant. The files run at 1 all the same.
        sequence = torch.export.Dim("sequence", min=2, max=length)
        shapes = tuple({1: sequence} for _ in INPUTS)
    with torch.no_grad():
        return torch.export.export(module, example, dynamic_shapes=shapes)


def _constants(
    model: SourceModel, metadata: Mapping[str, str], lengths: tuple[int, ...]
) -> dict[str, Any]:
    # The task says which outputs are by token.
    constants: dict[str, Any] = {"task": model.task}
    constants |= {key: int(value) if key in INTEGERS else value for key, value in metadata.items()}
    constants |= {size: getattr(model.config, size) for size in SIZES}
    constants["input_names"] = json.dumps(INPUTS)
    constants["output_names"] = json.dumps(OUTPUTS[model.task])
    if lengths:
        constants["buckets"] = json.dumps(lengths)
    return constants
