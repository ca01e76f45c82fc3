"""The encoder and its heads in operators of Core ML, for any layout.

The order of the operators, and with it the order of the roundings in fp16, is that of
``exporter.quantization.schemes.fp16_compute``. A classifier, which reads only the first token,
computes only that token's row of the last layer.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from coremltools.converters.mil import Builder

from exporter.model.config import Activation, EncoderConfig, Task
from exporter.quantization.calibration import LEVELS
from exporter.targets.base import INPUTS
from exporter.targets.coreml.layout import CHANNELS_OF_ROWS, Layout, Tokens
from exporter.targets.coreml.weights import Weights


@dataclass(frozen=True)
class Lowering:
    """What the lowering of one model needs. ``ranges``: see ``SourceModel``; ``masked`` is added to
    the scores of padding; ``longest`` is the number of tokens, 0 where it varies."""

    config: EncoderConfig
    task: Task
    weights: Weights
    layout: Layout
    ranges: Mapping[str, float]
    masked: float
    longest: int
    #: Inputs of linear layers in few levels, by tensor and step: layers with one input share it.
    quantized: dict[tuple[str, float], Tokens] = field(default_factory=dict)

    def number(self, value: float) -> Any:
        """A constant of the type that the program computes in."""
        return self.weights.dtype(value)


def lower_model(lowering: Lowering, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of the task by name, float32, from the inputs, int32 [1, S] each."""
    ids, attention_mask, token_types = (inputs[name] for name in INPUTS)
    hidden = _embeddings(lowering, ids, token_types)
    dtype = "fp16" if lowering.weights.dtype is np.float16 else "fp32"
    tokens = Builder.cast(x=attention_mask, dtype=dtype, name="mask_tokens")
    padding = Builder.sub(x=lowering.number(1), y=tokens, name="mask_padding")
    bias = Builder.mul(x=padding, y=lowering.number(lowering.masked), name="mask_bias")
    mask = lowering.layout.mask(bias, "mask")
    last = lowering.config.layers - 1
    for index in range(lowering.config.layers):
        first_only = lowering.task == "sequence-classification" and index == last
        hidden = _layer(lowering, index, hidden, mask, first_only)
    return {
        name: Builder.cast(x=tensor, dtype="fp32", name=name)
        for name, tensor in _head(lowering, hidden).items()
    }


def _embeddings(lowering: Lowering, input_ids: Any, token_type_ids: Any) -> Tokens:
    weights, config = lowering.weights, lowering.config
    tables = {part: weights.matrix(f"embeddings.{part}.weight") for part in ("word", "token_type")}
    word, token_type = (
        Builder.gather(
            x=tables[part],
            indices=indices,
            axis=0,
            validate_indices=False,
            name=f"embeddings_{part}",
        )
        for part, indices in (("word", input_ids), ("token_type", token_type_ids))
    )
    total = Builder.add(x=word, y=_positions(lowering, input_ids), name="embeddings_placed")
    total = Builder.add(x=total, y=token_type, name="embeddings_sum")
    tokens = lowering.layout.enter(total, "embeddings")
    return _norm(lowering, "embeddings.norm", tokens, config.norm_epsilon, "hidden_0")


def _positions(lowering: Lowering, input_ids: Any) -> Any:
    """The first S rows of the table of positions: [S, C]."""
    table = lowering.weights.matrix("embeddings.position.weight")
    width = lowering.config.hidden_size
    end: Any = [lowering.longest, width]
    if not lowering.longest:
        shape = Builder.shape(x=input_ids, name="positions_shape")
        length = Builder.slice_by_index(x=shape, begin=[1], end=[2], name="positions_length")
        end = Builder.concat(
            values=[length, np.array([width], np.int32)], axis=0, name="positions_end"
        )
    return Builder.slice_by_index(
        x=table,
        begin=[0, 0],
        end=end,
        begin_mask=[True, True],
        end_mask=[False, True],
        name="embeddings_position",
    )


def _layer(lowering: Lowering, index: int, hidden: Tokens, mask: Any, first_only: bool) -> Tokens:
    config, layout = lowering.config, lowering.layout
    epsilon, groups = config.layer_norm_epsilon, config.groups

    name = f"layers.{index}.attention"
    rows = layout.first(hidden, _step(f"{name}.first")) if first_only else hidden
    query = _linear(lowering, f"{name}.query", rows, groups.query)
    scale = lowering.number(config.head_size**-0.5)
    query = _each(query, lambda x: Builder.mul(x=x, y=scale, name=_step(f"{name}.scaled_query")))
    key = _linear(lowering, f"{name}.key", hidden, groups.key)
    value = _linear(lowering, f"{name}.value", hidden, groups.value)
    context = layout.attend(query, key, value, mask, _step(f"{name}.heads"))
    result = _linear(lowering, f"{name}.output", context, groups.post_attention)
    hidden = _add_norm(lowering, name, result, rows, epsilon, _step(f"{name}.norm"))

    name = f"layers.{index}.feed_forward"
    inner = _linear(lowering, f"{name}.intermediate", hidden, groups.intermediate)
    inner = _activation(lowering, inner, _step(f"{name}.activation"))
    result = _linear(lowering, f"{name}.output", inner, groups.output)
    return _add_norm(lowering, name, result, hidden, epsilon, f"hidden_{index + 1}")


def _add_norm(
    lowering: Lowering, block: str, result: Tokens, residual: Tokens, epsilon: float, name: str
) -> Tokens:
    total = Builder.add(
        x=lowering.layout.settle(result).tensor,
        y=residual.tensor,
        name=_step(f"{block}.sum"),
    )
    return _norm(lowering, f"{block}.norm", replace(residual, tensor=total), epsilon, name)


def _norm(lowering: Lowering, weight: str, tokens: Tokens, epsilon: float, name: str) -> Tokens:
    def normalize(tensor: Any) -> Any:
        return Builder.layer_norm(
            x=tensor,
            axes=[tokens.channels],
            gamma=lowering.weights.vector(f"{weight}.weight"),
            beta=lowering.weights.vector(f"{weight}.bias"),
            epsilon=lowering.number(epsilon),
            name=name,
        )

    return _each(tokens, normalize)


def _linear(lowering: Lowering, name: str, tokens: Tokens, groups: int = 1) -> Tokens:
    operand = _quantized(lowering, name, lowering.layout.operand(tokens, groups))
    return lowering.layout.linear(name, operand, groups, _step(name))


def _quantized(lowering: Lowering, layer: str, tokens: Tokens) -> Tokens:
    """The input of a linear layer, in int8 levels and back where the layer has a range."""
    if layer not in lowering.ranges:
        return tokens
    step = lowering.number(lowering.ranges[layer] / LEVELS)
    key = (tokens.tensor.name, float(step))
    if key not in lowering.quantized:
        name = _step(f"{layer}.input")
        levels = Builder.quantize(
            input=tokens.tensor, scale=step, output_dtype="int8", name=f"{name}_levels"
        )
        values = Builder.dequantize(input=levels, scale=step, name=name)
        lowering.quantized[key] = replace(tokens, tensor=values)
    return lowering.quantized[key]


def _activation(lowering: Lowering, tokens: Tokens, name: str) -> Tokens:
    kind: Activation = lowering.config.activation
    match kind:
        case "gelu":
            return _each(tokens, lambda x: Builder.gelu(x=x, mode="EXACT", name=name))
        case "gelu_new":
            return _each(tokens, lambda x: _tanh_gelu(lowering, x, name))
        case "relu":
            return _each(tokens, lambda x: Builder.relu(x=x, name=name))
        case "silu":
            return _each(tokens, lambda x: Builder.silu(x=x, name=name))


def _tanh_gelu(lowering: Lowering, block: Any, name: str) -> Any:
    """Written out: what Core ML's own operator rounds inside is not known."""
    number = lowering.number
    inner = Builder.mul(x=block, y=block, name=f"{name}_square")
    inner = Builder.mul(x=inner, y=block, name=f"{name}_cube")
    inner = Builder.mul(x=inner, y=number(0.044715), name=f"{name}_share")
    inner = Builder.add(x=block, y=inner, name=f"{name}_sum")
    inner = Builder.mul(x=inner, y=number(math.sqrt(2 / math.pi)), name=f"{name}_inner")
    inner = Builder.add(
        x=number(1), y=Builder.tanh(x=inner, name=f"{name}_tanh"), name=f"{name}_gate"
    )
    return Builder.mul(
        x=Builder.mul(x=number(0.5), y=block, name=f"{name}_half"), y=inner, name=name
    )


def _head(lowering: Lowering, hidden: Tokens) -> dict[str, Any]:
    """Outputs in the type that the program computes in."""
    layout = lowering.layout
    match lowering.task:
        case "sequence-classification":
            pooled = _linear(lowering, "head.pooler", hidden)
            pooled = _each(pooled, lambda x: Builder.tanh(x=x, name="head_pooled"))
            scores = layout.leave(_linear(lowering, "head.classifier", pooled), "head_rows")
            return {"logits": Builder.squeeze(x=scores, axes=[1], name="head_scores")}
        case "token-classification":
            scores = _linear(lowering, "head.classifier", hidden)
            return {"logits": layout.leave(scores, "head_scores")}
        case "question-answering":
            scores = layout.leave(_linear(lowering, "head.classifier", hidden), "head_scores")
            both = Builder.split(x=scores, num_splits=2, axis=2, name="head_spans")
            names = ("start_logits", "end_logits")
            return {
                name: Builder.squeeze(x=part, axes=[2], name=f"head_{name}")
                for name, part in zip(names, both, strict=True)
            }
        case "masked-lm":
            return {"logits": _decode(lowering, hidden)}
        case "feature-extraction":
            return {"last_hidden_state": layout.leave(hidden, "head_rows")}


def _decode(lowering: Lowering, hidden: Tokens) -> Any:
    """Scores of all words, [1, S, V]. The weight of a tied decoder is the table of words itself."""
    weights, config = lowering.weights, lowering.config
    hidden = _linear(lowering, "head.transform", hidden)
    hidden = lowering.layout.settle(_activation(lowering, hidden, "head_activation"))
    hidden = _norm(lowering, "head.norm", hidden, config.norm_epsilon, "head_norm")
    rows = Tokens(lowering.layout.leave(hidden, "head_rows"), CHANNELS_OF_ROWS)
    rows = _quantized(lowering, "head.decoder", rows)
    tied = config.tied_decoder
    weight = weights.matrix("embeddings.word.weight" if tied else "head.decoder.weight")
    bias = weights.vector("head.decoder.bias")
    return Builder.linear(x=rows.tensor, weight=weight, bias=bias, name="head_decoder")


def _step(name: str) -> str:
    """What the result of a step is called: never like a weight, see ``identifier``."""
    return name.replace(".", "_")


def _each(tokens: Tokens, function: Any) -> Tokens:
    """The tokens after an operator that leaves their order alone."""
    return replace(tokens, tensor=function(tokens.tensor))
