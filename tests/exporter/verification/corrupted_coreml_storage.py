"""Errors of the lowering that change what a package stores, declares or measures.

Put in for the length of a test; the twin of an artifact has the same error.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from coreml_lowering_patches import (
    NEURAL_ENGINE,
    SEQUENCE,
    CoremlCorruption,
    Patch,
    change_function,
    change_values,
    change_weights,
    rewrite,
    set_global,
)
from corrupted_packages import UNUSABLE
from small_packages import BLOCKS, lowering_module

from exporter.model.config import SourceModel
from exporter.quantization import tables
from exporter.quantization.schemes import find_scheme, fp16_compute, int8_weights
from exporter.targets.coreml import CoremlTarget

USUAL = (("fp16", NEURAL_ENGINE), ("fp32", SEQUENCE))
QUERY, KEY = "layers.0.attention.query", "layers.0.attention.key"
VALUE = "layers.0.attention.value"
INNER, OUTER = "layers.0.feed_forward.intermediate", "layers.0.feed_forward.output"


def storage_corruptions() -> Iterator[CoremlCorruption]:
    """Every such error that is put into the lowering in the tests."""
    yield from _stored()
    yield from _compressed()
    yield from _static_activations()
    yield from _declared()


def _stored() -> Iterator[CoremlCorruption]:
    """Errors that change what is stored."""
    seen = ("weight audit", "layer parity")

    def wrong(
        name: str,
        patch: Patch,
        checks: tuple[str, ...] = seen,
        variants: tuple[tuple[str, str], ...] = USUAL,
        **options: Any,
    ) -> Iterator[CoremlCorruption]:
        for precision, flavour in variants:
            yield CoremlCorruption(name, checks, patch, precision, flavour, **options)

    other_bias = change_weights("vector", _bias_of_query)
    yield from wrong("bias of another layer", other_bias)
    shared_norm = change_function("layers", "_norm", _first_norm)
    yield from wrong("norm of another layer", shared_norm)
    transposed = change_values(f"{INNER}.weight", _groups_transposed)
    yield from wrong("groups transposed", transposed)
    # Softmax does not see the bias of the key.
    doubled = change_values(f"{KEY}.bias", lambda bias: bias * 2)
    yield from wrong("bias of the key", doubled, ("weight audit",), only=True)
    reversed_rows = change_values("head.classifier.weight", lambda rows: rows[::-1].copy())
    yield from wrong("labels reversed", reversed_rows, (*seen, "outputs"))
    half = (("fp16", NEURAL_ENGINE),)
    down = set_global(lambda: fp16_compute, "round_to_fp16", _rounded_down)
    yield from wrong("fp16 rounded down", down, ("weight audit",), half)
    # The scheme's own rounding, not that of the reference's code.
    dropped = replace(fp16_compute.SCHEME, round_weights=_without_a_bias)
    no_bias = set_global(lambda: fp16_compute, "SCHEME", dropped)
    noticed = ("weight audit", "equivalence", "outputs")
    yield from wrong("a bias rounded away", no_bias, noticed, half, only=True)
    for precision, computed in (("fp16", "fp32"), ("fp32", "fp16_compute")):
        patch = change_function("program", "_lowering", _of_scheme(computed))
        variant = ((precision, NEURAL_ENGINE),)
        # fp16 values where fp32 was promised are audited as what they are: the nearest.
        audited = ("weight audit",) if computed == "fp32" else ()
        others = [check for check in seen if check != "weight audit"]
        yield from wrong(f"all in {computed}", patch, ("coverage", *others, *audited), variant)


def _bias_of_query(right: Any, weights: Any, name: str) -> Any:
    return right(weights, f"{QUERY}.bias" if name == f"{VALUE}.bias" else name)


def _first_norm(right: Any, lowering: Any, weight: str, *given: Any) -> Any:
    first = weight.replace("feed_forward.norm", "attention.norm")
    return right(lowering, first, *given)


def _groups_transposed(matrix: Any) -> Any:
    rows, columns = matrix.shape
    blocks = matrix.reshape(-1, columns, columns).transpose(0, 2, 1)
    return np.ascontiguousarray(blocks.reshape(rows, columns))


def _rounded_down(_: str, values: Any) -> Any:
    half = values.astype(np.float16)
    lower = np.nextafter(half, np.float16(0))
    return np.where(np.abs(half) > np.abs(values), lower, half).astype(np.float32)


def _without_a_bias(model: SourceModel) -> SourceModel:
    stored = fp16_compute.round_weights(model)
    name = "layers.0.attention.output.bias"
    return replace(stored, weights={**stored.weights, name: stored.weights[name] * 0})


def _of_scheme(name: str) -> Callable[..., Any]:
    def change(right: Any, model: Any, _: Any, *given: Any) -> Any:
        return right(model, find_scheme(name), *given)

    return change


def _compressed() -> Iterator[CoremlCorruption]:
    """Errors in the compression of weights."""
    for precision, flavour, changes in (
        ("int8", NEURAL_ENGINE, {}),
        ("int8", SEQUENCE, {}),
        ("int4", NEURAL_ENGINE, BLOCKS),
        ("palettized4", SEQUENCE, {}),
        ("palettized6", SEQUENCE, {}),
    ):
        left = change_weights("_matrix", _left_wide)
        seen = ("coverage", "weight audit")
        name = "a matrix left in fp16"
        yield CoremlCorruption(name, seen, left, precision, flavour, changes=changes)
    audit = ("weight audit",)
    down = set_global(lambda: int8_weights, "int8_rows", _levels_rounded_down)
    yield CoremlCorruption("int8 rounded down", audit, down, "int8", NEURAL_ENGINE)
    up = set_global(lambda: tables, "_boundaries", lambda table: table[:, :-1].astype(np.float32))
    yield CoremlCorruption("next entry of a table", audit, up, "palettized4", NEURAL_ENGINE)
    wide = change_function("weights", "_stored_type", lambda right, _: right("int8"))
    yield CoremlCorruption(
        "int4 in bytes", ("coverage", *audit), wide, "int4", NEURAL_ENGINE, changes=BLOCKS
    )
    packed = change_function("weights", "_packed", _packed_from_the_other_end)
    seen = ("weight audit", "layer parity")
    yield CoremlCorruption("indices packed wrongly", seen, packed, "palettized6", SEQUENCE)
    scale = change_weights("_matrix", _scales_of_other_rows)
    for flavour in (NEURAL_ENGINE, SEQUENCE):
        yield CoremlCorruption("scales of other rows", seen, scale, "int8", flavour)


def _left_wide(right: Any, weights: Any, name: str, kernel: tuple[int, ...]) -> Any:
    if name != "head.pooler.weight":
        return right(weights, name, kernel)
    matrix = weights._source(name)
    return weights._plain(name, matrix.reshape(*matrix.shape, *kernel))


_INT8_ROWS = int8_weights.int8_rows


def _levels_rounded_down(name: str, matrix: Any) -> Any:
    right = _INT8_ROWS(name, matrix)
    assert right.scale is not None
    levels = np.trunc(matrix / right.scale.astype(np.float32)).clip(-127, 127)
    return replace(right, levels=levels.astype(np.int8))


def _packed_from_the_other_end(_: Any, indices: Any, bits: int) -> Any:
    single = np.unpackbits(indices.reshape(-1, 1), axis=1, bitorder="big")[:, -bits:]
    return np.packbits(single, bitorder="big")


def _scales_of_other_rows(right: Any, weights: Any, name: str, kernel: tuple[int, ...]) -> Any:
    compress = weights._compress

    def wrong(found: str, matrix: Any) -> Any:
        compressed = compress(found, matrix)
        if found != f"{INNER}.weight":
            return compressed
        return replace(compressed, scale=compressed.scale[::-1].copy())

    weights._compress = wrong
    try:
        return right(weights, name, kernel)
    finally:
        weights._compress = compress


def _static_activations() -> Iterator[CoremlCorruption]:
    """Errors in the quantization of activations."""
    ranges = ("activation ranges",)

    def wrong(name: str, patch: Patch, checks: tuple[str, ...] = ranges) -> CoremlCorruption:
        changes = {"task": "masked-lm"}
        return CoremlCorruption(name, checks, patch, "w8a8", NEURAL_ENGINE, changes=changes)

    last = change_function(
        "calibration",
        "running_ranges",
        lambda right, batches, observe: right(list(batches)[-1:], observe),
    )
    yield wrong("range of the last text", last)
    first = change_function(
        "calibration",
        "running_ranges",
        lambda right, batches, observe: right(list(batches)[:1], observe),
    )
    yield wrong("range of the first text", first)
    halved = set_global(lambda: lowering_module("layers"), "LEVELS", 63)
    yield wrong("levels for half of the range", halved)
    left_out = change_function("layers", "_quantized", _unquantized)
    yield wrong("an input left out", left_out, ("coverage",))
    finer = rewrite("layers_0_*_input_levels", scale=lambda scale: type(scale)(scale / 2))
    yield wrong("other levels than values", finer, ("coverage",))


def _unquantized(right: Any, lowering: Any, layer: str, tokens: Any) -> Any:
    return tokens if layer == OUTER else right(lowering, layer, tokens)


def _declared() -> Iterator[CoremlCorruption]:
    """Errors in what the package says of itself."""
    labels = set_global(lambda: CoremlTarget, "write", _with_sorted_labels)
    logits = ("logits", "sequence_ranged")
    for flavour in logits:
        yield CoremlCorruption("labels sorted", ("metadata",), labels, "fp16", flavour)
    yield CoremlCorruption("a length left out", (UNUSABLE,), _one_length(), "fp16", NEURAL_ENGINE)


_WRITE = CoremlTarget.write


def _with_sorted_labels(self: Any, model: SourceModel, *given: Any) -> None:
    _WRITE(self, replace(model, labels=tuple(sorted(model.labels or ()))), *given)


def _one_length() -> Patch:
    def wrong(right: Any, form: Any, model: Any) -> Any:
        return right(replace(form, asked=form.takes(model.config)[:1]), model)

    return change_function("program", "_shape", wrong)
