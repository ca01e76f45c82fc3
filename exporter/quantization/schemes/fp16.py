"""fp16 storage: matrices and embedding tables are stored as fp16, everything is computed in fp32.

The matrices of ``exporter.quantization.kept`` stay fp32.

Half the file at the same speed; computing in fp16 is slower on the CPUs measured so far.
"""

from dataclasses import replace

import torch

from exporter.model.config import SourceModel
from exporter.quantization.kept import KEPT
from exporter.quantization.reference import Reference, plain_reference
from exporter.quantization.rounding import round_to_fp16
from exporter.quantization.schemes import Scheme
from exporter.quantization.tolerance import FLOAT_TOLERANCE


def round_weights(model: SourceModel) -> SourceModel:
    """Matrices rounded to fp16 values; vectors (biases, LayerNorm) and KEPT stay as they are."""
    rounded = {
        name: torch.from_numpy(round_to_fp16(name, tensor.numpy()))
        for name, tensor in model.weights.items()
        if tensor.ndim == 2 and name not in KEPT
    }
    return replace(model, weights={**model.weights, **rounded})


def _reference(model: SourceModel) -> Reference:
    return plain_reference(round_weights(model))


#: At most 1.5e-3 measured on the trained and the seeded models.
_OUTPUT_TOLERANCE = 1e-2

SCHEME = Scheme("fp16", 16, round_weights, _reference, FLOAT_TOLERANCE, _OUTPUT_TOLERANCE)
