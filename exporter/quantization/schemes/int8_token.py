"""int8 as XNNPACK computes it: like ``int8``, but activations are quantized by token.

The input of every product is quantized to 8 bits by the range of each token's block of channels
that the product reads (a group of a grouped layer has a range of its own), zero included. Weights,
tables and what stays fp32 are those of ``int8``.
"""

from exporter.model.config import SourceModel
from exporter.model.encoder import build_module
from exporter.quantization.activations import quantize_inputs
from exporter.quantization.equalization import equalize_values
from exporter.quantization.reference import Reference
from exporter.quantization.schemes import Scheme
from exporter.quantization.schemes.int8 import SCHEME as INT8
from exporter.quantization.schemes.int8 import dequantized


def token_reference(model: SourceModel) -> Reference:
    """The reference on ``model``'s weights as they are, activations quantized by token."""
    module = build_module(model)
    quantize_inputs(module, lambda _, layer: layer.groups, by_token=True)
    return Reference(module)


def _reference(model: SourceModel) -> Reference:
    return token_reference(dequantized(model))


#: The tolerances of ``int8``: healthy layers differ by at most 2e-7 in the typical token and 2e-3
#: over a case.
SCHEME = Scheme(
    "int8_token",
    8,
    equalize_values,
    _reference,
    INT8.layer_tolerance,
    INT8.output_tolerance,
    equalized=True,
)
