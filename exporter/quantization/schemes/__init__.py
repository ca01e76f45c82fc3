"""Quantization schemes by name. One module each: the object ``SCHEME`` of ``schemes/NAME.py``.

A scheme says what its artifacts compute, by definition and in PyTorch, whatever the target: an
artifact has to equal its scheme's reference closely, and the reference is as far from fp32 as the
scheme is lossy.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import UserError
from exporter.model.config import SourceModel
from exporter.quantization.compression import Compress
from exporter.quantization.reference import Reference
from exporter.quantization.tolerance import LayerTolerance


@dataclass(frozen=True)
class Scheme:
    """``round_weights`` gives the model on the weights' stored values, where the computation
    stays fp32, and else the equivalent model that is quantized; ``reference`` the model as an
    artifact of this scheme computes it; ``weight_bits`` the width of the stored matrices.

    ``layer_tolerance`` bounds the difference between an artifact and ``reference``, layer by
    layer. ``output_tolerance`` bounds the relative difference between its outputs and fp32, end to
    end; what a lossy scheme costs depends on the model, so there it only tells a lossy artifact
    from a broken one, whose outputs are off by 1 and more.

    ``compress`` says, where the scheme has it, what becomes of every matrix, bit by bit.
    ``empty_rows``: whether a row without any token has a defined result, uniform attention as in
    PyTorch.
    ``static_activations``: the inputs of linear layers are quantized with ``SourceModel.ranges``.
    ``equalized``: targets store the equivalent model of ``exporter.quantization.equalization``.
    ``mixed``: ``SourceModel.mix`` says how each matrix is stored.
    """

    name: str
    weight_bits: int
    round_weights: Callable[[SourceModel], SourceModel]
    reference: Callable[[SourceModel], Reference]
    layer_tolerance: LayerTolerance
    output_tolerance: float
    compress: Compress | None = None
    static_activations: bool = False
    empty_rows: bool = True
    equalized: bool = False
    mixed: bool = False


def find_scheme(name: str) -> Scheme:
    """The scheme called ``name``. UserError for an unknown one."""
    if name not in scheme_names():
        raise UserError(
            f"Unknown precision '{name}'.", f"Choose from: {', '.join(scheme_names())}."
        )
    scheme: Scheme = importlib.import_module(f"{__name__}.{name}").SCHEME
    return scheme


def summary(name: str) -> str:
    """The scheme in a line: the first of its module's description."""
    module = importlib.import_module(f"{__name__}.{name}")
    return (module.__doc__ or "").partition("\n")[0]


def scheme_names() -> tuple[str, ...]:
    """Names of all schemes."""
    return tuple(
        sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    )
