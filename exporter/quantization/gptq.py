"""Levels of a matrix that make up for each other's errors (GPTQ, Frantar et al. 2022).

Rounding every weight to its nearest level is best for the weights, not for what they compute. GPTQ
rounds one input column after the other, and moves what a column's rounding did to the outputs into
the columns that are still to come, as the inputs of calibration texts say: with ``H = X^T X`` and
the upper Cholesky factor ``U`` of its inverse, column ``c`` leaves the error
``e = (w[c] - levels[c] * step[c]) / U[c, c]``, and every later column ``d`` loses ``e * U[c, d]``.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from exporter.quantization.rounding import INT4_LIMIT, INT8_LIMIT, Rounded

#: Share of the mean of the Hessian's diagonal that is added to it (Frantar et al., section 3.3).
DAMPING = 0.01

#: Most levels between a corrected weight and its nearest one, so that an audit can tell corrected
#: weights from wrong ones. It is far from binding: the farthest of a trained model are 4 away.
FARTHEST = 7

#: Columns that are rounded before those behind them hear of it (section 3.2).
_LAZY = 128


@dataclass(frozen=True)
class Hessians:
    """``X^T X`` of what a layer reads, by group: float64 [groups, C / groups, C / groups].

    ``fitted`` is of the rows that levels are chosen for, ``held_back`` of others.
    """

    fitted: torch.Tensor
    held_back: torch.Tensor


def improved(weight: torch.Tensor, plain: Rounded, hessians: Hessians) -> Rounded | None:
    """``plain`` (of ``weight`` [outputs, C / groups]) with corrected levels.

    None where they compute no better than those of ``plain`` on rows that are held back.
    """
    groups = len(hessians.fitted)
    step = torch.from_numpy(plain.step).double().reshape(groups, -1, weight.shape[1])
    blocks = weight.double().reshape(step.shape)
    limit = INT4_LIMIT if plain.bits == 4 else INT8_LIMIT
    levels = torch.stack(
        [_levels(*parts, limit) for parts in zip(blocks, step, hessians.fitted, strict=True)]
    )
    flat = levels.reshape(weight.shape).to(torch.int8).numpy()
    better = replace(plain, levels=np.ascontiguousarray(flat))
    errors = [output_error(weight, r, hessians.held_back) for r in (better, plain)]
    return better if errors[0] < errors[1] else None


def output_error(weight: torch.Tensor, stored: Rounded, hessian: torch.Tensor) -> float:
    """Sum of squares of the outputs' errors over the rows of ``hessian``."""
    difference = (weight - torch.from_numpy(stored.values())).double()
    blocks = difference.reshape(len(hessian), -1, weight.shape[1])
    return float(torch.einsum("goi,gij,goj->", blocks, hessian, blocks))


def _levels(
    weight: torch.Tensor, step: torch.Tensor, hessian: torch.Tensor, limit: int
) -> torch.Tensor:
    """Of one group: [outputs, C] twice and [C, C], float64 -> [outputs, C].

    Columns are taken in falling order of their inputs' size, so that the largest errors have the
    most columns to go to (the reference implementation's ``act_order``): on a trained model with
    groups labels diverge 9 % less than in the order as it is. An input that is always 0 has a row
    and a column of nothing but damping.
    """
    order = hessian.diagonal().argsort(descending=True, stable=True)
    rest, step = weight[:, order].clone(), step[:, order]
    upper = _upper_factor(hessian[order][:, order])
    nearest = (rest / step).round().clamp(-limit, limit)
    low, high = (nearest - FARTHEST).clamp(min=-limit), (nearest + FARTHEST).clamp(max=limit)
    levels = torch.empty_like(rest)
    for start in range(0, rest.shape[1], _LAZY):
        end = min(start + _LAZY, rest.shape[1])
        errors = torch.empty_like(rest[:, start:end])
        for column in range(start, end):
            found = (rest[:, column] / step[:, column]).round()
            found = found.clamp(low[:, column], high[:, column])
            error = (rest[:, column] - found * step[:, column]) / upper[column, column]
            rest[:, column:end] -= torch.outer(error, upper[column, column:end])
            levels[:, column], errors[:, column - start] = found, error
        rest[:, end:] -= errors @ upper[start:end, end:]
    return levels[:, order.argsort()]


def _upper_factor(hessian: torch.Tensor) -> torch.Tensor:
    """The upper Cholesky factor of the damped Hessian's inverse."""
    mean = float(hessian.diagonal().mean())
    damping = DAMPING * mean if mean > 0 else 1.0
    damped = hessian + damping * torch.eye(len(hessian), dtype=hessian.dtype)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.as_tensor(torch.linalg.cholesky(inverse, upper=True))
