"""Errors in the code that writes ONNX graphs, put in for the length of a test.

The artifact and its twin are then wrong in the same way, so that comparing their structure shows
nothing; and names and values of the stored weights are right unless said otherwise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from lowering_patches import (
    LOWER,
    Patch,
    change_attend,
    change_linear,
    change_residual_linear,
    change_stored,
    epsilon_of,
    rewrite_nodes,
    set_constant,
    set_everywhere,
    set_global,
)
from small_models import small_model

from exporter.model.config import SourceModel
from exporter.model.folding import folded_biases
from exporter.quantization import rounding
from exporter.quantization.schemes import fp16, int8, mixed
from exporter.targets.onnx import arithmetic, attention
from exporter.targets.onnx.arithmetic import FloatArithmetic, Operand
from exporter.targets.onnx.graph import FLOAT, GraphBuilder

ALL = ("fp32", "fp16", "int8")
EACH_KIND = ("fp32", "int8")
FLOAT_ONLY = ("fp32", "fp16")
BOTH = ("optimized", "portable")


@dataclass(frozen=True)
class LoweringCorruption:
    """``patch`` breaks the code; ``checks`` have to fail, and nothing else if ``only``."""

    name: str
    checks: tuple[str, ...]
    patch: Patch
    precisions: tuple[str, ...] = EACH_KIND
    flavours: tuple[str, ...] = ("optimized",)
    only: bool = False
    model: Callable[[], SourceModel] = small_model


def _tanh_gelu(operator: str, inputs: list[str], options: dict[str, Any]) -> Any:
    if operator == "Gelu":
        options["approximate"] = "tanh"
    return operator, inputs


def _no_gelu_in_one_group(graph: GraphBuilder, activation: Any, tensor: str) -> str:
    return (
        tensor
        if "layers.1" in tensor and "group_3" in tensor
        else _ACTIVATION(graph, activation, tensor)
    )


_ACTIVATION = LOWER._activation


def _tanh_head(graph: GraphBuilder, activation: Any, tensor: str) -> str:
    if tensor.startswith("head"):
        return graph.node("Gelu", [tensor], approximate="tanh")
    return str(_ACTIVATION(graph, activation, tensor))


def _exact_gelu(operator: str, inputs: list[str], options: dict[str, Any]) -> Any:
    options.pop("approximate", None)
    return operator, inputs


def _swap_spans(operator: str, inputs: list[str], options: dict[str, Any]) -> Any:
    swapped = {"start_logits": "end_logits", "end_logits": "start_logits"}
    options["output"] = swapped.get(options.get("output", ""), options.get("output", ""))
    return operator, inputs


def _attention_scale(operator: str, inputs: list[str], options: dict[str, Any]) -> Any:
    if operator == "Attention":
        options["scale"] = 0.36  # instead of 8 ** -0.5 = 0.3536
    return operator, inputs


def _one_token_type(operator: str, inputs: list[str], options: dict[str, Any]) -> Any:
    del options
    return operator, ["shape/0" if text == "token_type_ids" else text for text in inputs]


def _no_tanh(operator: str, inputs: list[str], options: dict[str, Any]) -> Any:
    del options
    return "Identity" if operator == "Tanh" else operator, inputs


def _inverted_mask(graph: GraphBuilder) -> str:
    tokens = graph.node("Cast", ["attention_mask"], to=FLOAT)
    bias = graph.node("Mul", [tokens, graph.constant("mask/masked", attention.MASKED)])
    return graph.node("Unsqueeze", [bias, graph.shape_constant(1, 2)])


def _mask_by_length(graph: GraphBuilder) -> str:
    """Counts the tokens and takes it that they come first."""
    axis, shape = graph.shape_constant(1), graph.node("Shape", ["attention_mask"])
    count = graph.node("ReduceSum", ["attention_mask", axis], keepdims=1)
    zero, one = (graph.constant(f"mask/{value}", np.array(value)) for value in (0, 1))
    position = graph.node("Range", [zero, graph.node("Gather", [shape, one]), one])
    padding = graph.node("Cast", [graph.node("GreaterOrEqual", [position, count])], to=FLOAT)
    bias = graph.node("Mul", [padding, graph.constant("mask/masked", attention.MASKED)])
    return graph.node("Unsqueeze", [bias, graph.shape_constant(1, 2)])


def _shifted_rows(graph: GraphBuilder, table: str, indices: str | None, stop: str) -> str:
    """Position i reads row i + 1, the last one row 0."""
    if indices is not None:
        return _ROWS(graph, table, indices, stop)
    zero, one, end = (graph.shape_constant(value) for value in (0, 1, 2**31))
    rest = graph.node("Slice", [table, one, end, zero])
    first = graph.node("Slice", [table, zero, one, zero])
    return _ROWS(graph, graph.node("Concat", [rest, first], axis=0), None, stop)


def _repeated_rows(graph: GraphBuilder, table: str, indices: str | None, stop: str) -> str:
    """Position 128 reads row 0 again."""
    if indices is not None:
        return _ROWS(graph, table, indices, stop)
    zero, end = graph.shape_constant(0), graph.shape_constant(128)
    first = graph.node("Slice", [table, zero, end, zero])
    return _ROWS(graph, graph.node("Concat", [first, first], axis=0), None, stop)


_ROWS = arithmetic.table_rows


def _last_token(lowering: Any, stream: str) -> str:
    graph, size = lowering.graph, lowering.config.hidden_size
    sequences = lowering.arithmetic.sequence(stream, size, first_only=False)
    last = graph.node("Gather", [sequences, graph.shape_constant(-1)], axis=1)
    return str(lowering.arithmetic.enter(last))


def _swap_query_and_key(given: dict[str, Any]) -> dict[str, Any]:
    if given["first_only"]:  # one query cannot stand in for all keys
        return given
    return {**given, "query": given["key"], "key": given["query"]}


def _no_residual(self: Any, blocks: list[Operand], residual: str) -> Any:
    return blocks, self._graph.node("Sub", [residual, residual])


def _range_of_first_group(self: Any, blocks: list[Operand], residual: str) -> Any:
    del self
    first = blocks[0]
    return [Operand(b.values, first.scale, first.zero_point) for b in blocks], residual


def _zeroed_instead_of_folded(model: SourceModel) -> SourceModel:
    biases = folded_biases(model.config)
    zeroed = {n: t * 0 if n in biases else t for n, t in model.weights.items()}
    return SourceModel(model.config, model.task, model.labels, zeroed)


def _per_tensor(weight: rounding.Float32) -> Any:
    scale = np.full(len(weight), np.abs(weight).max() / 127, np.float32)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


def _rounded_down(weight: rounding.Float32) -> Any:
    _, scale = rounding.quantize_rows(weight)
    return np.trunc(weight / scale[:, None]).astype(np.int8), scale


def _round_both(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (mixed, int8):
        monkeypatch.setattr(module, "quantize_rows", _rounded_down)


def _fp16_rounded_down(name: str, weight: rounding.Float32) -> rounding.Float32:
    del name
    return (weight.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


def _stored_as(kind: type[np.floating]) -> Patch:
    return set_global(LOWER, "FloatArithmetic", lambda g, w, _: FloatArithmetic(g, w, kind))


def _plain_reversed(lowering: Any, name: str) -> str:
    values = lowering.weights[name]
    values = values[::-1].copy() if name == "head.classifier.weight" else values
    return str(lowering.graph.constant(name, values))


def lowering_corruptions() -> Iterator[LoweringCorruption]:
    """Every error that is put into the lowering in the tests."""
    parity, audit = ("layer parity",), ("weight audit",)
    query, key = (f"layers.0.attention.{part}" for part in ("query", "key"))
    inner, outer = (f"layers.0.feed_forward.{part}" for part in ("intermediate", "output"))
    post = "layers.0.attention.output"

    def wrong(name: str, patch: Patch, *args: Any, **options: Any) -> LoweringCorruption:
        return LoweringCorruption(name, parity, patch, *args, **options)

    yield wrong("tanh gelu", rewrite_nodes(_tanh_gelu), ALL, BOTH)
    yield wrong("one group without gelu", set_global(LOWER, "_activation", _no_gelu_in_one_group))
    yield wrong("query and key swapped", change_attend(_swap_query_and_key), ALL, BOTH)
    yield wrong("mask off", set_global(attention, "MASKED", 0.0), ALL, BOTH)
    yield wrong("mask weak", set_global(attention, "MASKED", -3.0), EACH_KIND)
    yield wrong("mask infinite", set_global(attention, "MASKED", -np.inf), EACH_KIND, BOTH)
    lowest = float(np.finfo(np.float32).min)
    yield wrong("empty rows zero", set_global(attention, "MASKED", lowest), EACH_KIND)
    yield wrong("mask inverted", set_global(attention, "mask_rows", _inverted_mask), ALL, BOTH)
    for norm in ("embeddings.norm", "layers.0.attention.norm", "layers.1.feed_forward.norm"):
        yield wrong(f"epsilon of {norm}", epsilon_of(norm), ALL)
    yield wrong("groups read in wrong order", change_linear(inner, lambda _, b: b[::-1]), ALL)
    yield wrong("groups joined in wrong order", change_linear(query, after=lambda r: r[::-1]))
    yield wrong("positions shifted", set_everywhere("table_rows", _shifted_rows), ALL, BOTH)
    yield wrong("token types dropped", rewrite_nodes(_one_token_type), ALL)
    yield wrong("attention scale", rewrite_nodes(_attention_scale), ALL)
    scale = set_constant("attention/scale", 1.02)
    yield wrong("attention scale", scale, EACH_KIND, ("portable",))
    yield wrong("residual dropped", change_residual_linear(post, _no_residual), ALL)
    yield wrong("pooler without tanh", rewrite_nodes(_no_tanh), ALL)
    yield wrong("last token's row", set_global(LOWER, "_first", _last_token), ALL)
    shared = change_residual_linear(outer, _range_of_first_group)
    yield wrong("range of another group", shared, ("int8",), BOTH)
    yield from _other_models()
    yield from _stored_corruptions(query, key, post, audit)


def _other_models() -> Iterator[LoweringCorruption]:
    """Errors that only some tasks, families or sizes have."""

    def wrong(
        name: str,
        patch: Patch,
        precisions: tuple[str, ...] = EACH_KIND,
        flavours: tuple[str, ...] = ("optimized",),
        **changes: Any,
    ) -> LoweringCorruption:
        model = partial(small_model, **changes)
        return LoweringCorruption(name, ("layer parity",), patch, precisions, flavours, model=model)

    yield wrong("epsilon of head.norm", epsilon_of("head.norm"), task="masked-lm")
    yield wrong(
        "tanh gelu of the head", set_global(LOWER, "_activation", _tanh_head), task="masked-lm"
    )
    tied = change_stored("group_bias", "head.transform", lambda bias: bias * 0)
    yield wrong("bias of the head's transform", tied, task="masked-lm")
    yield wrong("start and end swapped", rewrite_nodes(_swap_spans), task="question-answering")
    yield wrong("tanh gelu in bert", rewrite_nodes(_tanh_gelu), family="bert")
    yield wrong("exact gelu", rewrite_nodes(_exact_gelu), activation="gelu_new")
    repeated = set_everywhere("table_rows", _repeated_rows)
    yield wrong("positions repeat after 128", repeated, max_positions=200)
    yield wrong("mask by length", set_global(attention, "mask_rows", _mask_by_length), ALL, BOTH)
    one_text = set_global(LOWER, "_output_shape", lambda *_: (1, 3))
    yield LoweringCorruption("batch declared as 1", ("signature",), one_text, ALL, only=True)


def _stored_corruptions(
    query: str, key: str, post: str, audit: tuple[str, ...]
) -> Iterator[LoweringCorruption]:
    """Errors that change what is stored."""
    seen: tuple[str, ...] = ("weight audit", "layer parity")
    transposed = change_stored("group_matrix", query, lambda m: np.ascontiguousarray(m.T))
    yield LoweringCorruption("group transposed", seen, transposed, ALL, BOTH)
    doubled = change_stored("group_bias", key, lambda bias: bias * 2)
    yield LoweringCorruption("bias of the key", audit, doubled, ALL, only=True)
    zero = change_stored("group_bias", post, lambda bias: bias * 0)
    yield LoweringCorruption("post-attention bias dropped", seen, zero, ("int8",))
    unfolded = set_global(LOWER, "fold_residual_biases", lambda model: model)
    yield LoweringCorruption("biases not folded", seen, unfolded, FLOAT_ONLY)
    zeroed = set_global(LOWER, "fold_residual_biases", _zeroed_instead_of_folded)
    yield LoweringCorruption(
        "biases folded away", ("outputs", "equivalence"), zeroed, FLOAT_ONLY, only=True
    )
    per_tensor = set_global(mixed, "quantize_rows", _per_tensor)
    yield LoweringCorruption("one step a tensor", audit, per_tensor, ("int8",), BOTH)
    yield LoweringCorruption("int8 rounded down", audit, _round_both, ("int8",), only=True)
    down = set_global(fp16, "round_to_fp16", _fp16_rounded_down)
    yield LoweringCorruption("fp16 rounded down", audit, down, ("fp16",), only=True)
    narrow, wide = _stored_as(np.float16), _stored_as(np.float32)
    yield LoweringCorruption("fp16 stored as fp32", ("coverage",), wide, ("fp16",), only=True)
    yield LoweringCorruption("fp32 stored as fp16", ("coverage", *seen[1:]), narrow, ("fp32",))
    reversed_rows = set_global(LOWER, "_plain", _plain_reversed)
    yield LoweringCorruption("labels reversed", (*seen, "outputs"), reversed_rows, ALL)
