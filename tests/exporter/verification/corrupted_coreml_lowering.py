"""Errors in the code that lowers to Core ML, put in for the length of a test.

The artifact and its twin are then wrong in the same way, so that comparing their structure shows
nothing; and names and values of the stored weights are right.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from coreml_lowering_patches import (
    NEURAL_ENGINE,
    SEQUENCE,
    CoremlCorruption,
    Patch,
    builder,
    change_function,
    change_method,
    change_weights,
    number_like,
    replace_operator,
    rewrite,
    rewrite_operators,
    together,
    turned,
)
from corrupted_coreml_storage import storage_corruptions

#: Each layout once, and each of the two kinds of arithmetic.
USUAL = (("fp16", NEURAL_ENGINE), ("fp32", SEQUENCE))
ALL = (*USUAL, ("fp32", NEURAL_ENGINE), ("fp16", SEQUENCE))
HALF = (("fp16", NEURAL_ENGINE), ("fp16", SEQUENCE))
TOKENS = {"task": "token-classification"}
TWO = {"layers": 2}
QUERY = "layers.0.attention.query"
INNER, OUTER = "layers.0.feed_forward.intermediate", "layers.0.feed_forward.output"

#: Name, patch, precisions and flavours, changes of the small model.
Wrong = tuple[str, Patch, tuple[tuple[str, str], ...], dict[str, Any]]


def coreml_corruptions() -> Iterator[CoremlCorruption]:
    """Every error that is put into the lowering in the tests."""
    for kinds in (_steps(), _attention(), _groups_and_heads(), _other_models()):
        for name, patch, variants, changes in kinds:
            for precision, flavour in variants:
                yield CoremlCorruption(
                    name, ("layer parity",), patch, precision, flavour, changes=changes
                )
    yield from storage_corruptions()


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
    yield "positions shifted", change_weights("matrix", _rolled_positions), USUAL, {}
    yield "gains of another norm", rewrite_operators(_exchange_gains), USUAL, {}
    yield (
        "second token's row",
        change_method("first", _second_token),
        (("fp16", NEURAL_ENGINE),),
        {},
    )
    yield "last token's row", change_method("first", _last_token), USUAL, {}
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
    off = rewrite("*_scaled_query", y=lambda y: type(y)(float(y) * 1.02))
    yield "scale slightly off", off, ALL, {}
    yield "no scale", rewrite("*_scaled_query", y=lambda y: type(y)(1)), USUAL, {}
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

    yield "groups read in wrong order", linear(INNER, True), USUAL, {}
    yield "groups joined in wrong order", linear(QUERY, False), USUAL, {}
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
