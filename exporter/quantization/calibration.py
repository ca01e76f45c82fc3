"""Ranges of activations over texts: the largest absolute value that enters each linear layer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from exporter.errors import UserError
from exporter.model.config import SourceModel
from exporter.model.layers import GroupedLinear
from exporter.quantization.activations import replace_inputs
from exporter.quantization.schemes.fp16_compute import half_reference

Batch = TypeVar("Batch")

#: An activation's levels reach from -127 to 127 times its scale (-128 exists, and no range asks for
#: it).
LEVELS = 127

#: A range of 0 would have no scale: this one has the smallest of fp16.
_SMALLEST = LEVELS * 2.0**-24

#: fp16 ends at 65504; the scale that a larger range gets would take level 127 beyond.
_LARGEST = 65472.0


def running_ranges(
    batches: Iterable[Batch], observe: Callable[[Batch], Mapping[str, npt.NDArray[Any]]]
) -> dict[str, float]:
    """The largest absolute value of every tensor that ``observe`` sees, over all batches.

    Never 0, and never so large that int8 levels leave fp16. UserError without any batch, and for a
    value that is not finite.
    """
    ranges: dict[str, float] = {}
    for batch in batches:
        for name, values in observe(batch).items():
            largest = float(np.abs(values).max(initial=0))
            if not np.isfinite(largest):
                raise UserError(
                    f"What enters {name} is beyond the range of fp16 on a calibration text.",
                    "Build it in fp32: --precision fp32",
                )
            ranges[name] = max(ranges.get(name, _SMALLEST), min(largest, _LARGEST))
    if not ranges:
        raise UserError(
            "There is no text to calibrate with.",
            "Name a file of typical texts with --calibration-data TSV.",
        )
    return ranges


def reference_ranges(model: SourceModel) -> dict[str, float]:
    """``SourceModel.ranges`` of ``model.calibration``, found in PyTorch.

    Each text runs by itself through the reference of ``fp16_compute``. Query, key and value read
    one tensor, of which a classifier's last layer gives the query a part: they share a range.
    UserError without any text.
    """
    reference = half_reference(model)
    seen: dict[str, npt.NDArray[Any]] = {}

    def note(name: str, _: GroupedLinear, tensor: torch.Tensor) -> torch.Tensor:
        seen[name] = tensor.half().float().numpy()
        return tensor

    def observe(text: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
        seen.clear()
        with torch.no_grad():
            reference.run(**{name: torch.from_numpy(values) for name, values in text.items()})
        return dict(seen)

    replace_inputs(reference.module, note)
    return shared_ranges(running_ranges(model.calibration, observe))


def shared_ranges(ranges: Mapping[str, float]) -> dict[str, float]:
    """``ranges`` with the largest of an attention's query, key and value for all three."""
    shared = dict(ranges)
    for name in ranges:
        attention, _, part = name.rpartition(".")
        if part == "query":
            names = [f"{attention}.{other}" for other in ("query", "key", "value")]
            shared.update(dict.fromkeys(names, max(ranges[other] for other in names)))
    return shared
