"""Schemes that compress the weights and compute in fp16 on what these stand for."""

from exporter.model.config import SourceModel
from exporter.quantization.compression import Compress, compressed_model
from exporter.quantization.reference import Reference
from exporter.quantization.schemes import Scheme
from exporter.quantization.schemes.fp16_compute import EMPTY_ROWS, half_reference
from exporter.quantization.schemes.fp16_compute import SCHEME as FP16_COMPUTE


def weight_only(name: str, weight_bits: int, compress: Compress, output_tolerance: float) -> Scheme:
    """The scheme ``name``: ``fp16_compute`` on the values of compressed matrices.

    Its layers are compared as those of ``fp16_compute``: artifact and reference have the same
    weights, bit by bit, and nothing else is added.
    """

    def reference(model: SourceModel) -> Reference:
        return half_reference(compressed_model(model, compress))

    return Scheme(
        name,
        weight_bits,
        lambda model: model,
        reference,
        FP16_COMPUTE.layer_tolerance,
        output_tolerance,
        compress,
        empty_rows=EMPTY_ROWS,
    )
