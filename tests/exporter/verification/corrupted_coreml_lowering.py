"""Errors in the code that lowers to Core ML, put in for the length of a test.

The artifact and its twin are then wrong in the same way, so that comparing their structure shows
nothing; and names and values of the stored weights are right unless said otherwise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from coreml_lowering_patches import (
    Patch,
    builder,
    change_function,
    change_method,
    change_values,
    change_weights,
    number_like,
    replace_operator,
    rewrite,
    rewrite_operators,
    set_global,
    together,
    turned,
)
from corrupted_packages import UNUSABLE
from small_packages import BLOCKS, lowering_module

from exporter.model.config import SourceModel
from exporter.quantization import tables
from exporter.quantization.schemes import find_scheme, fp16_compute, int8_weights
from exporter.targets.coreml import CoremlTarget

NEURAL_ENGINE, SEQUENCE = "optimized", "sequence_ranged_logits"
#: Each layout once, and each of the two kinds of arithmetic.
USUAL = (("fp16", NEURAL_ENGINE), ("fp32", SEQUENCE))
ALL = (*USUAL, ("fp32", NEURAL_ENGINE), ("fp16", SEQUENCE))
HALF = (("fp16", NEURAL_ENGINE), ("fp16", SEQUENCE))
TOKENS = {"task": "token-classification"}
TWO = {"layers": 2}
QUERY, KEY = "layers.0.attention.query", "layers.0.attention.key"
VALUE = "layers.0.attention.value"
INNER, OUTER = "layers.0.feed_forward.intermediate", "layers.0.feed_forward.output"


@dataclass(frozen=True)
class CoremlCorruption:
    """``patch`` breaks the code; ``checks`` have to fail, and nothing else if ``only``."""

    name: str
    checks: tuple[str, ...]
    patch: Patch
    precision: str
    flavour: str
    only: bool = False
    changes: dict[str, Any] = field(default_factory=dict)


def coreml_corruptions() -> Iterator[CoremlCorruption]:
    """Every error that is put into the lowering in the tests."""
    for kinds in (_steps(), _attention(), _groups_and_heads(), _other_models()):
        for name, patch, variants, changes in kinds:
            for precision, flavour in variants:
                yield CoremlCorruption(
                    name, ("layer parity",), patch, precision, flavour, changes=changes
                )
    yield from _stored()
    yield from _compressed()
    yield from _static_activations()
    yield from _declared()


Wrong = tuple[str, Patch, tuple[tuple[str, str], ...], dict[str, Any]]


def _steps() -> Iterator[Wrong]:
    """Operators of the encoder that are wrong."""
    tanh = {"mode": "TANH_APPROXIMATION"}
    yield "tanh gelu in one layer", rewrite("layers_1_feed_forward_activation", **tanh), ALL, TWO
    yield (
        "tanh gelu",
        rewrite("layers_0_feed_forward_activation", **tanh),
        (("int8", SEQUENCE),),
        {},
    )
    for norm in ("hidden_0", "layers_0_attention_norm", "hidden_1"):
        coarse = rewrite(norm, epsilon=lambda right: type(right)(1e-5))
        yield f"epsilon of {norm}", coarse, ALL, {}
    for total in ("layers_0_attention_sum", "layers_0_feed_forward_sum"):
        yield f"no residual in {total}", rewrite(total, y=lambda y: number_like(y, 0)), USUAL, {}
    yield "token types ignored", rewrite("embeddings_sum", y=lambda y: number_like(y, 0)), USUAL, {}
    yield "positions shifted", change_weights("matrix", _rolled_positions), ALL, {}
    yield "gains of another norm", rewrite_operators(_exchange_gains), USUAL, {}
    yield "second token's row", change_method("first", _second_token), (("fp16", "optimized"),), {}
    yield "last token's row", change_method("first", _last_token), ALL, {}
    yield "pooler without tanh", replace_operator("tanh", _unchanged), USUAL, {}
    relu = replace_operator("gelu", lambda x, name: builder().relu(x=x, name=name))
    yield "relu", relu, USUAL, {}


def _unchanged(x: Any, name: str) -> Any:
    return builder().mul(x=x, y=number_like(x, 1), name=name)


def _rolled_positions(right: Any, weights: Any, name: str, kernel: int = 0) -> Any:
    table = right(weights, name, kernel)
    if name != "embeddings.position.weight":
        return table
    rows, width = table.shape
    after, first = (
        builder().slice_by_index(x=table, begin=[begin, 0], end=[end, width], name=f"rows_{begin}")
        for begin, end in ((1, rows), (0, 1))
    )
    return builder().concat(values=[after, first], axis=0, name="positions_shifted")


def _exchange_gains(kind: str, operands: dict[str, Any]) -> None:
    """The gain for the shift, and the other way round."""
    if kind == "layer_norm" and operands["name"] == "hidden_0":
        operands["gamma"], operands["beta"] = operands["beta"], operands["gamma"]


def _second_token(_: Any, __: Any, tokens: Any, name: str) -> Any:
    return _one_token(tokens, 1, 2, name)


def _last_token(_: Any, __: Any, tokens: Any, name: str) -> Any:
    return _one_token(tokens, -1, 0, name)


def _one_token(tokens: Any, begin: int, end: int, name: str) -> Any:
    """The tokens from ``begin`` to before ``end``; 0: to the last."""
    rank = tokens.tensor.rank
    axis = rank - 1 if tokens.channels == 1 else 1
    others = [position != axis for position in range(rank)]
    row = builder().slice_by_index(
        x=tokens.tensor,
        begin=[0 if other else begin for other in others],
        end=[0 if other else end for other in others],
        begin_mask=others,
        end_mask=[other or not end for other in others],
        name=name,
    )
    return type(tokens)(row, tokens.channels)


def _attention() -> Iterator[Wrong]:
    """Errors in the attention and its mask."""
    swapped = change_function("layers", "_linear", _query_for_key)
    yield "query and key swapped", swapped, ALL, TOKENS
    for name, factor in (("scale slightly off", 1.02), ("no scale", 32**0.5)):
        scaled = rewrite("*_scaled_query", y=lambda y, factor=factor: type(y)(float(y) * factor))
        yield name, scaled, ALL, {}
    masks = (("off", 0.0), ("weak", -3.0), ("infinite", -np.inf))
    for name, value in masks:
        patch = rewrite("mask_bias", y=lambda y, value=value: type(y)(value))
        yield f"mask {name}", patch, USUAL, TOKENS
    yield "mask inverted", rewrite_operators(_inverted_mask), USUAL, {}
    for layer in (0, 1):
        off = rewrite(f"layers_{layer}_attention_heads*scores", y=lambda y: number_like(y, 0))
        yield f"mask ignored in layer {layer}", off, USUAL, TWO
    one = rewrite("layers_0_attention_heads_2_scores", y=lambda y: number_like(y, 0))
    yield "mask ignored in one head", one, (("fp16", NEURAL_ENGINE),), {}
    lowest = float(np.finfo(np.float16).min)
    twice = together(
        rewrite("mask_bias", y=lambda y: type(y)(lowest)), change_method("mask", _added_twice)
    )
    yield "lowest number twice", twice, HALF, TOKENS
    yield "softmax over queries", rewrite("*_weights", axis=_other_axis), USUAL, TOKENS


def _query_for_key(right: Any, lowering: Any, name: str, *given: Any) -> Any:
    layer, _, part = name.rpartition(".")
    swapped = {"query": "key", "key": "query"}
    return right(lowering, f"{layer}.{swapped.get(part, part)}", *given)


def _inverted_mask(_: str, operands: dict[str, Any]) -> None:
    if operands.get("name") == "mask_padding":
        mask = operands["y"]
        operands |= {"x": mask, "y": number_like(mask, 0)}


def _added_twice(right: Any, layout: Any, padding: Any, name: str) -> Any:
    mask = right(layout, padding, f"{name}_once")
    return builder().add(x=mask, y=mask, name=name)


def _other_axis(axis: int) -> int:
    return {1: 3, -1: -2}[axis]


def _groups_and_heads() -> Iterator[Wrong]:
    """Errors in the order of channels."""

    def linear(layer: str, before: bool) -> Patch:
        def change(right: Any, layout: Any, found: str, tokens: Any, groups: int, name: str) -> Any:
            if found == layer and before:
                tokens = turned(tokens, groups, lambda blocks: blocks[::-1], name)
            result = right(layout, found, tokens, groups, name)
            if found == layer and not before:
                result = turned(result, groups, lambda blocks: blocks[::-1], name)
            return result

        return change_method("linear", change)

    yield "groups read in wrong order", linear(INNER, True), ALL, {}
    yield "groups joined in wrong order", linear(QUERY, False), ALL, {}
    yield "groups joined in wrong order", linear(OUTER, False), USUAL, {}
    yield "heads in wrong order", change_method("attend", _values_of_other_heads), ALL, {}
    yield "one group instead of four", change_weights("matrix", _first_group_everywhere), USUAL, {}


def _values_of_other_heads(
    right: Any, layout: Any, query: Any, key: Any, value: Any, *given: Any
) -> Any:
    value = turned(value, 4, lambda heads: [heads[1], heads[0], *heads[2:]], given[-1])
    return right(layout, query, key, value, *given)


def _first_group_everywhere(right: Any, weights: Any, name: str, kernel: int = 0) -> Any:
    """The weight is stored and read, and only its first group counts."""
    matrix = right(weights, name, kernel)
    if name != f"{INNER}.weight":
        return matrix
    first = builder().split(x=matrix, num_splits=4, axis=0, name="groups_cut")[0]
    return builder().concat(values=[first] * 4, axis=0, name="groups_joined")


def _other_models() -> Iterator[Wrong]:
    """Errors that only some tasks, families or sizes have."""
    new = {"activation": "gelu_new"}
    exact = change_function(
        "layers",
        "_tanh_gelu",
        lambda _, __, x, name: builder().gelu(x=x, mode="EXACT", name=name),
    )
    yield "exact gelu", exact, ALL, new
    single = change_function(
        "layers",
        "_tanh_gelu",
        lambda _, __, x, name: builder().gelu(x=x, mode="TANH_APPROXIMATION", name=name),
    )
    yield "tanh gelu in one operator", single, HALF, new
    answers, words = {"task": "question-answering"}, {"task": "masked-lm"}
    yield "start and end swapped", change_function("layers", "_head", _swapped), USUAL, answers
    coarse = rewrite("head_norm", epsilon=lambda right: type(right)(1e-5))
    yield "epsilon of head_norm", coarse, ALL, words
    yield "tanh gelu of the head", rewrite("head_activation", mode="TANH_APPROXIMATION"), ALL, words
    bert = {"family": "bert"}
    tanh = rewrite("layers_0_feed_forward_activation", mode="TANH_APPROXIMATION")
    yield "tanh gelu in bert", tanh, USUAL, bert


def _swapped(right: Any, *given: Any) -> dict[str, Any]:
    outputs = right(*given)
    names = list(outputs)
    return dict(zip(names, [outputs[name] for name in names[::-1]], strict=True))


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
    yield from wrong("a bias rounded away", no_bias, ("equivalence", "outputs"), half, only=True)
    for precision, computed in (("fp16", "fp32"), ("fp32", "fp16_compute")):
        patch = change_function("program", "_lowering", _of_scheme(computed))
        variant = ((precision, NEURAL_ENGINE),)
        yield from wrong(f"all in {computed}", patch, ("coverage", *seen), variant)


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
