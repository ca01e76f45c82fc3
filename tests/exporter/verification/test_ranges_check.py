"""The check of static ranges of activations against PyTorch."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from small_models import make_batch, small_model

from exporter.model.config import SourceModel
from exporter.quantization.calibration import LEVELS, reference_ranges
from exporter.verification.ranges import ranges_check

pytestmark = pytest.mark.usefixtures("quick")

#: The longest first, so that the last one has the smallest ranges.
MODEL = replace(
    small_model(), calibration=tuple(make_batch(1, length) for length in (30, 17, 9, 3))
)


def stored(model: SourceModel = MODEL) -> dict[str, float]:
    """As an artifact says them: the scale in fp16, times the largest level."""
    ranges = reference_ranges(model)
    return {name: float(np.float16(value / LEVELS)) * LEVELS for name, value in ranges.items()}


def test_ranges_in_fp16_pass() -> None:
    check = ranges_check(stored(), MODEL)
    assert check.passed, check.detail
    assert 0 < check.measured["largest"] < 1e-3


def test_the_ranges_of_the_last_text_are_refused() -> None:
    """What coremltools 9.0's calibration keeps."""
    last = stored(replace(MODEL, calibration=MODEL.calibration[-1:]))
    assert not ranges_check(last, MODEL).passed


@pytest.mark.parametrize("factor", [0.5, 0.95, 1.05, 2])
def test_one_range_that_is_off_is_refused(factor: float) -> None:
    ranges = stored()
    ranges["layers.1.feed_forward.output"] *= factor
    check = ranges_check(ranges, MODEL)
    assert not check.passed
    assert "layers.1.feed_forward.output" in check.detail


@pytest.mark.parametrize(
    "change", [{"head.classifier": 1.0}, {"layers.0.attention.key": None}, {"x": 1.0}]
)
def test_other_layers_than_those_of_the_scheme_are_refused(
    change: Mapping[str, float | None],
) -> None:
    """A kept layer that is quantized, a layer that is not, and one that does not exist."""
    changed = {**stored(), **change}
    check = ranges_check({n: v for n, v in changed.items() if v is not None}, MODEL)
    assert not check.passed
    assert next(iter(change)) in check.detail
