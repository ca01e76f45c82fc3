"""The error function of fp32 numbers, with numpy alone."""

import numpy as np

from exporter.targets.base import Array

#: Beyond it, erf is 1 up to 3e-9.
_LIMIT = 4.2
#: erf(x) / x = P(x * x) / Q(x * x) up to 1.6e-9 of its value, for x up to the limit: least squares
#: in 60 digits on 120 Chebyshev nodes, reweighted towards the largest error. Lowest power first.
_P = (
    1.1283791687639397,
    0.177452689609807,
    0.05287974290754502,
    0.0034702428841097235,
    0.00034801869521994543,
    2.5631572684065897e-06,
    -2.664748554495046e-08,
)
_Q = (
    1.0,
    0.4905967449763242,
    0.1103952994784715,
    0.014624756115933241,
    0.0011936043614354656,
    5.365303888214013e-05,
    -2.639228210743752e-07,
)


def error_function(x: Array) -> Array:
    """erf of ``x`` float64, of the same shape, within 3e-9 of its value. NaN stays NaN."""
    far = np.abs(x) > _LIMIT
    found = np.clip(x, -_LIMIT, _LIMIT)
    square = found * found
    found *= _polynomial(_P, square)
    found /= _polynomial(_Q, square)
    if far.any():
        found[far] = np.sign(x[far])
    return found


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value *= x
        value += coefficient
    return value
