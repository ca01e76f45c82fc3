"""Compares static ranges of activations with those that PyTorch finds on the same texts."""

from collections.abc import Mapping

from exporter.model.config import SourceModel
from exporter.quantization.calibration import reference_ranges
from exporter.verification.report import Check

#: Relative. A range is one value of one text, and fp16 rounds it and all that leads to it: healthy
#: models of 2 to 12 layers differ by at most 1.9e-3. Levels that end at 126 are 8e-3 off.
_TOLERANCE = 5e-3


def ranges_check(ranges: Mapping[str, float], model: SourceModel) -> Check:
    """Every range is the largest absolute value over all of ``model.calibration``."""
    wanted = reference_ranges(model)
    differing = sorted(set(ranges) ^ set(wanted))
    if differing:
        detail = f"{differing[0]} has a range in one of the two only"
        return Check("activation ranges", False, detail, {}, _TOLERANCE)
    errors = {name: abs(ranges[name] / wanted[name] - 1) for name in wanted}
    worst = max(errors, key=lambda name: errors[name])
    detail = (
        f"{worst}: {ranges[worst]:.4g}, PyTorch finds {wanted[worst]:.4g} over "
        f"{len(model.calibration)} texts; relative limit {_TOLERANCE:.0e}"
    )
    passed = all(error <= _TOLERANCE for error in errors.values())  # and so is none NaN
    return Check("activation ranges", passed, detail, {"largest": errors[worst]}, _TOLERANCE)
