"""The Core ML delegate: the whole graph, for every length of text."""

import coremltools
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir.backend.partitioner import PartitionResult
from torch.utils._sympy.value_ranges import ValueRanges


class CoreMLDelegate(CoreMLPartitioner):  # type: ignore[misc]
    """ExecuTorch's partitioner, which has to take everything: fp16 (``half``) or fp32."""

    def __init__(self, half: bool) -> None:
        precision = coremltools.precision
        super().__init__(
            compile_specs=CoreMLBackend.generate_compile_specs(
                compute_unit=coremltools.ComputeUnit.ALL,
                minimum_deployment_target=coremltools.target.iOS17,
                compute_precision=precision.FLOAT16 if half else precision.FLOAT32,
                model_type=CoreMLBackend.MODEL_TYPE.MODEL,
            ),
            lower_full_graph=True,
        )

    def partition(self, exported_program: torch.export.ExportedProgram) -> PartitionResult:
        # Core ML refuses lengths outside the range that the program declares, and PyTorch's range
        # begins at 2.
        for symbol, values in exported_program.range_constraints.items():
            if values.lower == 2:
                exported_program.range_constraints[symbol] = ValueRanges(1, values.upper)
        return super().partition(exported_program)
