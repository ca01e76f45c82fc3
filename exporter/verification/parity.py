"""Compares an artifact with PyTorch: layer by layer on sensitised weights, and end to end.

The layers are compared where they stand: PyTorch's layer i gets the artifact's own output of layer
i - 1, so that an error is seen in the layer that makes it and no healthy rounding adds up.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from exporter.quantization.reference import Reference
from exporter.quantization.tolerance import LayerTolerance
from exporter.targets.base import Array, Session
from exporter.verification.cases import Case
from exporter.verification.report import Check

Outputs = Mapping[str, torch.Tensor]


#: Share of the tokens whose error the typical limit leaves out of account is one minus this.
_TYPICAL_QUANTILE = 0.2


@dataclass(frozen=True)
class StageError:
    """Errors of one stage in one case: of every token [N], and the root mean square of all."""

    tokens: Array
    total: float


def layer_parity(
    session: Session,
    reference: Reference,
    cases: Sequence[Case],
    tolerance: LayerTolerance,
    progress: Callable[[str], None],
) -> Check:
    """Every stage of an artifact opened with taps: embeddings, each layer, the head."""
    errors: dict[str, list[StageError]] = {}
    for case in cases:
        progress(f"layers, {case.name}")
        for stage, error in _stage_errors(session, reference, case).items():
            errors.setdefault(stage, []).append(error)
    summary = {stage: _summary(stage_errors) for stage, stage_errors in errors.items()}
    excess = {
        stage: max(typical / tolerance.typical, worst / tolerance.worst)
        for stage, (typical, worst) in summary.items()
    }
    stage = max(excess, key=lambda name: excess[name])
    passed = excess[stage] <= 1
    typical, worst = summary[stage]
    measured = {name: largest for name, (_, largest) in summary.items()}
    detail = (
        f"{stage}: relative error {typical:.1e} (typical), {worst:.1e} (largest) over "
        f"{len(cases)} cases; limits {tolerance.typical:.0e} and {tolerance.worst:.0e}"
    )
    return Check("layer parity", passed, detail, measured, tolerance.worst)


def output_parity(
    name: str,
    run: Callable[[Mapping[str, Array]], Mapping[str, Array]],
    expected: Callable[[Mapping[str, torch.Tensor]], Outputs],
    cases: Sequence[Case],
    tolerance: float,
    progress: Callable[[str], None],
    *,
    empty_rows: bool = True,
) -> Check:
    """The outputs of ``run`` (an artifact) against those of a model in PyTorch, end to end.

    Without ``empty_rows``, rows that have no token only have to be finite.
    """
    pairs: dict[str, dict[str, tuple[Array, Array]]] = {}
    for case in cases:
        progress(f"outputs, {case.name}")
        actual = run(case.inputs)
        with torch.no_grad():
            wanted = expected(_tensors(case.inputs))
        missing = set(wanted) - set(actual)
        if missing:
            return Check(name, False, f"outputs missing: {sorted(missing)}", {}, tolerance)
        found = {k: (actual[k], tensor.numpy()) for k, tensor in wanted.items()}
        if not empty_rows:
            there: Array = np.asarray(case.inputs["attention_mask"].any(axis=1))
            if any(not np.isfinite(values).all() for values, _ in found.values()):
                return Check(name, False, f"{case.name}: a value is not finite", {}, tolerance)
            if not there.any():
                continue
            found = {k: (_chosen(v, there), _chosen(w, there)) for k, (v, w) in found.items()}
        pairs[case.name] = found
    # One scale an output, over all cases: a single score that happens to lie near 0 is no measure.
    outputs = next(iter(pairs.values()))
    scales = {
        k: float(np.sqrt(np.mean([_mean_square(pair[k][1]) for pair in pairs.values()])))
        for k in outputs
    }
    errors = {
        case: max(relative_error(*pair[k], scale=scales[k]) for k in outputs)
        for case, pair in pairs.items()
    }
    worst = max(errors, key=lambda case: errors[case])
    detail = f"{worst}: relative error {errors[worst]:.1e}; limit {tolerance:.0e}"
    passed = errors[worst] <= tolerance
    return Check(name, passed, detail, errors, tolerance)


def _chosen(values: Array, rows: Array) -> Array:
    """The rows; values of another number of rows as they are, for the comparison to refuse."""
    return values[rows] if len(values) == len(rows) else values


def relative_error(actual: Array, expected: Array, scale: float | None = None) -> float:
    """Root mean square of the difference over ``scale``, by default that of ``expected``.

    Infinite for wrong shapes or values that are not finite, on either side.
    """
    if actual.shape != expected.shape:
        return float("inf")
    if not (np.isfinite(actual).all() and np.isfinite(expected).all()):
        return float("inf")
    difference = float(np.sqrt(_mean_square(actual - expected)))
    if scale is None:
        scale = float(np.sqrt(_mean_square(expected)))
    return difference / scale if scale else difference


def _mean_square(values: Array) -> float:
    return float(np.mean(np.square(values, dtype=np.float64)))


def _stage_errors(session: Session, reference: Reference, case: Case) -> dict[str, StageError]:
    actual = session.run(case.inputs)
    inputs = _tensors(case.inputs)
    layers = reference.module.config.layers
    classifies = reference.module.task == "sequence-classification"
    missing = [f"hidden.{i}" for i in range(layers + 1) if f"hidden.{i}" not in actual]
    if missing:
        return dict.fromkeys(missing, _NOTHING)
    hidden = [torch.from_numpy(actual[f"hidden.{index}"]) for index in range(layers + 1)]
    batch, length = case.inputs["input_ids"].shape
    for index, state in enumerate(hidden):
        wanted_length = 1 if classifies and index == layers else length
        if state.shape != (batch, wanted_length, reference.module.config.hidden_size):
            return {f"hidden.{index} of shape {tuple(state.shape)}": _NOTHING}
    with torch.no_grad():
        wanted = {"embeddings": reference.embed(inputs["input_ids"], inputs["token_type_ids"])}
        for index in range(layers):
            first_only = classifies and index == layers - 1
            wanted[f"layer {index}"] = reference.layer(
                index, hidden[index], inputs["attention_mask"], first_only
            )
        head = reference.head(hidden[layers])
    errors = {
        stage: _stage_error(tap.numpy(), value.numpy())
        for tap, (stage, value) in zip(hidden, wanted.items(), strict=True)
    }
    for name, value in head.items():
        output = actual.get(name)
        errors[f"head {name}"] = _NOTHING if output is None else _stage_error(output, value.numpy())
    return errors


_NOTHING = StageError(np.array([np.inf]), float("inf"))


def _stage_error(actual: Array, expected: Array) -> StageError:
    total = relative_error(actual, expected)
    if not np.isfinite(total):
        return _NOTHING
    squares = np.square(actual - expected, dtype=np.float64)
    scale = np.sqrt(np.mean(np.square(expected, dtype=np.float64))) or 1.0
    tokens = np.sqrt(squares.mean(axis=-1)).ravel() / scale
    return StageError(tokens, total)


def _summary(errors: Sequence[StageError]) -> tuple[float, float]:
    """The typical error over the tokens of all cases, and the largest total of a case."""
    tokens = np.concatenate([error.tokens for error in errors])
    # 'lower' never interpolates between a finite and an infinite error.
    typical = float(np.quantile(tokens, _TYPICAL_QUANTILE, method="lower"))
    return typical, max(error.total for error in errors)


def _tensors(inputs: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in inputs.items()}
