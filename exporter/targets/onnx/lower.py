"""From a model to an ONNX graph.

The form of the graph follows measurements: each group of a grouped layer is a product of its own
(a batched product is not pre-packed and took 1.8 times as long; a grouped convolution took as long
in fp32, up to 15 % longer on another machine, and ONNX Runtime has no fast one in dynamic int8);
groups that hold whole heads go through attention without being joined; a classifier, which reads
only the first token, needs only that token's row of the last layer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from exporter.model.config import Activation, EncoderConfig, SourceModel, Task
from exporter.model.folding import fold_residual_biases
from exporter.quantization.schemes import find_scheme
from exporter.quantization.schemes.mixed import smoothed
from exporter.targets.base import INPUTS
from exporter.targets.onnx.arithmetic import (
    Arithmetic,
    FloatArithmetic,
    Operand,
    Weights,
    to_sequence,
)
from exporter.targets.onnx.attention import Attention, BasicAttention, FusedAttention
from exporter.targets.onnx.graph import FLOAT, INT64, GraphBuilder
from exporter.targets.onnx.mixed import MixedArithmetic, artifact_mix, opset, scheme_of

#: Precisions that compute all in fp32.
_FLOAT = ("fp32", "fp16")


def tap(index: int) -> str:
    """Tensor name of the embeddings (0) or the output of layer ``index - 1`` inside a graph."""
    return f"hidden.{index}"


@dataclass(frozen=True)
class _Lowering:
    graph: GraphBuilder
    config: EncoderConfig
    weights: Weights
    arithmetic: Arithmetic
    attention: Attention


def stored_model(model: SourceModel, precision: str) -> SourceModel:
    """The equivalent model whose weights an artifact of ``precision`` stores.

    Float graphs have no bias before a residual; see ``exporter.model.folding``. The model of an
    int4 artifact has the mix that this is; as in every model with a mix, its weights are neither
    smoothed nor rounded.
    """
    rounded = find_scheme(scheme_of(precision)).round_weights(model)
    if precision in _FLOAT:
        return fold_residual_biases(rounded)
    return replace(rounded, mix=artifact_mix(model, precision)) if precision == "int4" else rounded


def lower(
    model: SourceModel, precision: str, flavour: str, metadata: Mapping[str, str], version: str
) -> onnx.ModelProto:
    """The ONNX model of ``model``.

    Inputs ``input_ids``, ``attention_mask``, ``token_type_ids``: int64 [batch, sequence]. Outputs
    as in ``EncoderModel.forward``, float32. UserError for a mix that cannot be built.
    """
    config = model.config
    mix = artifact_mix(model, precision)
    stored = stored_model(model, precision)
    stored = stored if mix is None else smoothed(replace(stored, mix=mix))
    weights = {n: t.numpy() for n, t in stored.weights.items()}
    attention: Attention = (
        FusedAttention() if flavour == "optimized" else BasicAttention(config.head_size)
    )
    graph = GraphBuilder(attention.opset if mix is None else opset(mix, attention.opset))
    arithmetic: Arithmetic
    if mix is None:
        storage = np.float16 if precision == "fp16" else np.float32
        arithmetic = FloatArithmetic(graph, weights, storage)
    else:
        arithmetic = MixedArithmetic(graph, weights, mix, contrib=flavour == "optimized")
    lowering = _Lowering(graph, config, weights, arithmetic, attention)
    outputs = _model(lowering, model.task)
    inputs = [(name, INT64, ["batch", "sequence"]) for name in INPUTS]
    labels = len(model.labels or ())
    return graph.model(
        config.family,
        inputs,
        [(name, FLOAT, _output_shape(name, model.task, config, labels)) for name in outputs],
        metadata,
        version,
    )


def _model(lowering: _Lowering, task: Task) -> list[str]:
    lowering.attention.prepare(lowering.graph)
    hidden = _embeddings(lowering)
    last = lowering.config.layers - 1
    for index in range(lowering.config.layers):
        first_only = task == "sequence-classification" and index == last
        hidden = _layer(lowering, index, hidden, first_only)
    with lowering.graph.scope("head"):
        rows = lowering.arithmetic.leave(hidden)
    return _head(lowering, task, rows)


def _embeddings(lowering: _Lowering) -> str:
    graph, arithmetic = lowering.graph, lowering.arithmetic
    with graph.scope("embeddings"):
        shape = graph.node("Shape", ["input_ids"])
        length = graph.node("Gather", [shape, graph.shape_constant(1)])
        word = arithmetic.lookup("embeddings.word.weight", "input_ids")
        position = arithmetic.lookup("embeddings.position.weight", None, stop=length)
        token_type = graph.node(
            "Gather", [_plain(lowering, "embeddings.token_type.weight"), "token_type_ids"]
        )
        total = graph.node("Sum", [word, token_type])
        total = arithmetic.enter(graph.node("Sum", [total, position]))
        epsilon = lowering.config.norm_epsilon
        return _norm(lowering, "embeddings.norm", total, epsilon, tap(0))


def _layer(lowering: _Lowering, index: int, hidden: str, first_only: bool) -> str:
    """One layer. With ``first_only`` the result has only the first token of every sequence."""
    graph, config, arithmetic = lowering.graph, lowering.config, lowering.arithmetic
    epsilon = config.layer_norm_epsilon
    with graph.scope(f"layers.{index}"):
        name = f"layers.{index}.attention"
        with graph.scope("attention"):
            (whole,) = arithmetic.operands(f"{name}.query", [hidden])
            rows = whole
            if first_only:
                rows = _first_rows(lowering, whole)
                hidden = rows.values if hidden == whole.values else _first(lowering, hidden)
            context = _attention(lowering, name, rows, whole, first_only)
            (operand,) = arithmetic.operands(f"{name}.output", [context])
            blocks = _blocks(lowering, operand, config.groups.post_attention)
            total = arithmetic.residual_linear(f"{name}.output", blocks, hidden)
            hidden = _norm(lowering, f"{name}.norm", total, epsilon)
        name = f"layers.{index}.feed_forward"
        with graph.scope("feed_forward"):
            (operand,) = arithmetic.operands(f"{name}.intermediate", [hidden])
            inner = _blocks(lowering, operand, config.groups.intermediate)
            results = arithmetic.linear(f"{name}.intermediate", inner)
            results = [_activation(graph, config.activation, result) for result in results]
            results = _regroup(lowering, results, config.groups.output)
            operands = arithmetic.operands(f"{name}.output", results)
            if len(operands) != config.groups.output:
                operands = _blocks(lowering, operands[0], config.groups.output)
            total = arithmetic.residual_linear(f"{name}.output", operands, hidden)
            return _norm(lowering, f"{name}.norm", total, epsilon, tap(index + 1))


def _attention(
    lowering: _Lowering, name: str, rows: Operand, whole: Operand, first_only: bool
) -> str:
    """Queries of ``rows`` over keys and values of ``whole``; the context as a stream."""
    graph, config, arithmetic = lowering.graph, lowering.config, lowering.arithmetic
    groups = config.groups
    projected = [
        arithmetic.linear(f"{name}.{part}", _blocks(lowering, operand, count))
        for part, operand, count in (
            ("query", rows, groups.query),
            ("key", whole, groups.key),
            ("value", whole, groups.value),
        )
    ]
    count = groups.query
    if {groups.query, groups.key, groups.value} != {count} or config.heads % count:
        projected = [[graph.concat(blocks)] for blocks in projected]
        count = 1
    width, heads = config.hidden_size // count, config.heads // count
    contexts = []
    for group, (query, key, value) in enumerate(zip(*projected, strict=True)):
        with graph.scope(f"group_{group}" if count > 1 else "heads"):
            contexts.append(
                lowering.attention.attend(
                    graph,
                    arithmetic.sequence(query, width, first_only),
                    arithmetic.sequence(key, width, first_only=False),
                    arithmetic.sequence(value, width, first_only=False),
                    heads,
                    first_only,
                )
            )
    return arithmetic.enter(graph.concat(contexts))


def _head(lowering: _Lowering, task: Task, rows: str) -> list[str]:
    """The head on ``rows`` [N, H]: all tokens, or the first ones for sequence classification."""
    graph, config, arithmetic = lowering.graph, lowering.config, lowering.arithmetic
    size = config.hidden_size
    with graph.scope("head"):
        match task:
            case "feature-extraction":
                return [_named(graph, to_sequence(graph, rows, size), "last_hidden_state")]
            case "sequence-classification":
                (pooled,) = arithmetic.linear(
                    "head.pooler", arithmetic.operands("head.pooler", [rows])
                )
                return [_classifier(lowering, graph.node("Tanh", [pooled]), "logits")]
            case "token-classification":
                scores = _classifier(lowering, rows)
                labels = lowering.weights["head.classifier.bias"].size
                return [_named(graph, to_sequence(graph, scores, labels), "logits")]
            case "question-answering":
                scores = to_sequence(graph, _classifier(lowering, rows), 2)
                axis = graph.shape_constant(-1)
                names = ["start_logits", "end_logits"]
                parts = zip(graph.split(scores, 2), names, strict=True)
                return [graph.node("Squeeze", [part, axis], output=name) for part, name in parts]
            case "masked-lm":
                (hidden,) = arithmetic.linear(
                    "head.transform", arithmetic.operands("head.transform", [rows])
                )
                hidden = _activation(graph, config.activation, hidden)
                hidden = _norm(lowering, "head.norm", hidden, config.norm_epsilon)
                if config.tied_decoder:
                    bias = "head.decoder.bias"
                    scores = arithmetic.tied_decoder("embeddings.word.weight", bias, hidden)
                else:
                    (scores,) = arithmetic.linear(
                        "head.decoder", arithmetic.operands("head.decoder", [hidden])
                    )
                return [_named(graph, to_sequence(graph, scores, config.vocab_size), "logits")]


def _classifier(lowering: _Lowering, rows: str, output: str = "") -> str:
    """The classifier in fp32 whatever the precision: small, and it decides the label."""
    weight = _plain(lowering, "head.classifier.weight")
    bias = _plain(lowering, "head.classifier.bias")
    return lowering.graph.node("Gemm", [rows, weight, bias], transB=1, output=output)


def _plain(lowering: _Lowering, name: str) -> str:
    return lowering.graph.constant(name, lowering.weights[name])


def _norm(lowering: _Lowering, name: str, tensor: str, epsilon: float, output: str = "") -> str:
    inputs = [tensor, _plain(lowering, f"{name}.weight"), _plain(lowering, f"{name}.bias")]
    return lowering.graph.node(
        "LayerNormalization", inputs, name="norm", output=output, axis=-1, epsilon=epsilon
    )


def _first(lowering: _Lowering, stream: str) -> str:
    """The first token of every sequence, in the stream's form."""
    graph, size = lowering.graph, lowering.config.hidden_size
    sequences = lowering.arithmetic.sequence(stream, size, first_only=False)
    first = graph.node("Gather", [sequences, graph.shape_constant(0)], axis=1)
    return lowering.arithmetic.enter(first)


def _first_rows(lowering: _Lowering, operand: Operand) -> Operand:
    """The first token of every sequence as an operand."""
    row_scale = operand.row_scale and _first(lowering, operand.row_scale)
    return replace(operand, values=_first(lowering, operand.values), row_scale=row_scale)


def _blocks(lowering: _Lowering, operand: Operand, groups: int) -> list[Operand]:
    parts = lowering.graph.split(operand.values, groups)
    return [replace(operand, values=part) for part in parts]


def _regroup(lowering: _Lowering, blocks: Sequence[str], groups: int) -> list[str]:
    """The blocks as they are when there are ``groups`` of them, else joined into one."""
    return list(blocks) if len(blocks) == groups else [lowering.graph.concat(blocks)]


def _activation(graph: GraphBuilder, activation: Activation, tensor: str) -> str:
    match activation:
        case "gelu":
            return graph.node("Gelu", [tensor])
        case "gelu_new":
            return graph.node("Gelu", [tensor], approximate="tanh")
        case "relu":
            return graph.node("Relu", [tensor])
        case "silu":
            return graph.node("Mul", [tensor, graph.node("Sigmoid", [tensor])])


def _named(graph: GraphBuilder, tensor: str, name: str) -> str:
    return graph.node("Identity", [tensor], output=name)


def _output_shape(
    name: str, task: Task, config: EncoderConfig, labels: int
) -> tuple[int | str, ...]:
    tokens: tuple[int | str, ...] = ("batch", "sequence")
    if task == "sequence-classification":
        return ("batch", labels)
    if task == "question-answering":
        return tokens
    width = {"last_hidden_state": config.hidden_size, "logits": labels}[name]
    return (*tokens, config.vocab_size if task == "masked-lm" else width)
