"""Damage to a Core ML package that leaves the values of its weights right.

What it computes, what it says of itself, and whether it is a package at all.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from package_edits import (
    Edit,
    block,
    both,
    drop,
    exchange_operands,
    on_model,
    operation,
    rebind,
    remove,
    rename,
    say,
    set_number,
    set_text,
)
from small_packages import MODEL, WEIGHTS

QUERY, KEY = "layers_0_attention_query", "layers_0_attention_key"
QUERY_WEIGHT = "layers__0__attention__query__weight"
KEY_WEIGHT = "layers__0__attention__key__weight"
SEQUENCE = {"flavour": "sequence_ranged_logits"}
TOKENS = {"changes": {"task": "token-classification"}}
#: Activations are quantized.
STATIC = {"precision": "w8a8", "flavour": "logits", "changes": {"task": "masked-lm"}}
SWAPPED = '["yes", "no", "maybe"]'
MANIFEST = Path("Manifest.json")

Options = dict[str, Any]


def edited_operators() -> Iterator[tuple[str, str, Edit, Options]]:
    """Edits of what is computed: name, the check that has to notice, edit, options."""

    def edited(name: str, edit: Edit, **options: Any) -> tuple[str, str, Edit, Options]:
        return name, "structure", edit, options

    for options in ({"precision": "fp32"}, {}, SEQUENCE):
        yield edited("references swapped", exchange_operands(QUERY, KEY, "weight"), **options)
    for precision in ("fp16", "int8"):
        yield edited("a weight twice", rebind(KEY, "weight", QUERY_WEIGHT), precision=precision)
    yield edited("biases exchanged", exchange_operands(QUERY, KEY, "bias"))
    norms = exchange_operands("hidden_0", "hidden_1", "gamma")
    yield edited("gains exchanged", norms)
    for norm in ("hidden_0", "layers_0_attention_norm", "hidden_1"):
        yield edited(f"epsilon of {norm}", set_number(norm, "epsilon", 1e-5))
    yield edited("epsilon", set_number("hidden_0", "epsilon", 1e-5), precision="fp32")
    gelu = "layers_0_feed_forward_activation"
    yield edited("tanh gelu", set_text(gelu, "mode", "TANH_APPROXIMATION"))
    scaled = "layers_0_attention_scaled_query"
    yield edited("attention scale", set_number(scaled, "y", lambda scale: scale * 1.02))
    yield edited("no attention scale", remove(scaled))
    yield edited("mask weak", set_number("mask_bias", "y", -3.0))
    yield edited("mask removed", set_number("mask_bias", "y", 0.0))
    yield edited("mask of one head removed", remove("layers_0_attention_heads_2_scores"))
    yield edited("mask removed", remove("layers_0_attention_heads_scores"), **SEQUENCE)
    softmax = "layers_0_attention_heads_0_weights"
    yield edited("softmax axis", set_number(softmax, "axis", 3), **TOKENS)
    softmax = "layers_0_attention_heads_weights"
    yield edited("softmax axis", set_number(softmax, "axis", 2), **SEQUENCE)
    yield edited("residual removed", remove("layers_0_feed_forward_sum"))
    yield edited("activation removed", remove(gelu))
    yield edited("pooler without tanh", remove("head_pooled"))
    yield edited("token types removed", remove("embeddings_sum"))
    heads = rebind("layers_0_attention_heads", "values", "layers_0_attention_heads_0_context", 1)
    yield edited("a head twice", heads)
    second = both(
        set_number("layers_0_attention_first", "begin", 1, index=3),
        set_number("layers_0_attention_first", "end", 2, index=3),
    )
    yield edited("second token's row", second)
    for precision in ("fp16", "int8"):
        beside = rename(QUERY_WEIGHT, "something")
        yield "a weight without a name", "coverage", beside, {"precision": precision}
    names = both(
        rename(QUERY_WEIGHT, "something"),
        rename(KEY_WEIGHT, QUERY_WEIGHT),
        rename("something", KEY_WEIGHT),
    )
    yield "names exchanged", "weight audit", names, {}
    for name, edit in _static_activations():
        yield name, "activation ranges", edit, STATIC


def _static_activations() -> Iterator[tuple[str, Edit]]:
    """Edits of the scales of one input."""
    name = "layers_0_attention_query_input"
    levels = set_number(f"{name}_levels", "scale", lambda scale: scale * 1.05)
    values = set_number(name, "scale", lambda scale: scale * 1.05)
    yield "range of a layer", both(levels, values)
    yield "scale of the levels", levels
    yield "scale of the values", values
    yield "input not quantized", rebind(QUERY, "x", "hidden_0")


def edited_descriptions() -> Iterator[tuple[str, str, Edit, Options]]:
    """Edits of what a package says of itself: name, check, edit, options."""
    logits = {"flavour": "logits"}
    metadata, structure = "metadata", "structure"
    yield "labels swapped", metadata, say(labels=SWAPPED), logits
    classes = both(set_classes(json.loads(SWAPPED)), say(labels=SWAPPED))
    yield "labels and classes swapped", metadata, classes, {}
    yield "another precision", metadata, say(precision="int9"), {"only": True}
    yield "another flavour", metadata, say(flavour="optimised"), {"only": True}
    yield "another task", metadata, say(task="token-classification"), logits
    for name, found, value in (
        ("more positions", metadata, {"max_positions": "41"}),
        ("more words", structure, {"vocab_size": "61"}),
        ("more token types", structure, {"token_types": "3"}),
        ("another padding", structure, {"pad_token_id": "1"}),
        ("another mask", structure, {"mask_convention": "attention_mask: 0 token, 1 padding"}),
        ("another layout", structure, {"layout": "sequence"}),
        ("another system", structure, {"deployment_target": "iOS17"}),
        ("another recipe", structure, {"recipe": "int8 weights"}),
    ):
        yield name, found, say(**value), {}
    yield "labels of unknown number", "signature", on_model(_unknown_labels), logits
    yield "shape of an output", structure, on_model(_described_shape), {}


def broken_packages() -> Iterator[tuple[str, str, Edit, Options]]:
    """Damage after which there is nothing to run: name, what the error says, edit, options."""
    logits = {"flavour": "logits"}
    other, order, lengths = "other outputs than", "in another order", "other lengths than it says"
    yield "classes swapped", order, set_classes(json.loads(SWAPPED)), {}
    yield "labels of a classifier swapped", order, say(labels=SWAPPED), {}
    yield "no labels", "say what its labels are", say(labels="none ["), {}
    yield "an unknown task", "say what its task is", say(task="sequence"), logits
    yield "answers", other, say(task="question-answering"), logits
    yield "fewer words", "allowed are 0 to 58", say(vocab_size="59"), {}
    yield "no number of words", "say what its inputs are", say(vocab_size="many"), {}
    yield "other lengths", lengths, say(lengths='["enumerated", 32, 41]'), {}
    yield "no lengths", "say what its lengths are", say(lengths="many"), {}
    yield "a length less", lengths, on_model(_one_length_less), {}
    yield "a longer range", lengths, on_model(_longer_range), SEQUENCE
    yield "an output renamed", other, rename("logits", "scores"), logits
    yield "an input renamed", "other inputs than", rename("attention_mask", "mask_of_text"), {}
    axis = set_number("probabilities", "axis", 0)
    yield "axis of the probabilities", "not those of its logits", axis, {}
    yield "type of an output", "the outputs of its model are", on_model(_output_type), {}
    yield "size of a result", r"head_pooler.*declared float16 \(1, 33", on_model(_result_size), {}
    yield "type of a result", "head_pooler.*declared float32", on_model(_result_type), {}
    missing = "reads layers_0_attention_sum before"
    yield "an operator less", missing, drop("layers_0_attention_sum"), {}
    unknown = "head_pooled.*hyperbolic_tangent is not known"
    yield "an unknown operator", unknown, on_model(_unknown_operator), {}
    newer, fixed = "not known among those of CoreML7", {"precision": "int4", "flavour": "fixed"}
    yield "operators of a newer system", newer, on_model(_older_system), fixed
    yield "shapes of a newer system", "came with iOS 18", on_model(_older_system), {}
    yield "a function more", "the functions .*'other'", on_model(_second_function), {}
    unread = both(rebind(KEY, "weight", QUERY_WEIGHT), drop(KEY_WEIGHT))
    yield "a weight that nobody reads", "1 entries that the program does not read", unread, {}
    yield "weight.bin cut off", "weight.bin is truncated", _cut(WEIGHTS), {}
    yield "model.mlmodel cut off", "model is damaged", _cut(MODEL), {}
    yield "Manifest.json cut off", "Manifest.json is damaged", _cut(MANIFEST), {}
    yield "no weight.bin", "its weights are missing", _delete(WEIGHTS), {}
    yield "no model.mlmodel", "model.mlmodel is missing", _delete(MODEL), {}
    yield "no Manifest.json", "is no Core ML package", _delete(MANIFEST), {}
    yield "a file more", "Data/more", lambda path: (path / "Data" / "more").touch(), {}


def set_classes(labels: list[str]) -> Edit:
    """Other labels of the classifier."""

    def change(model: Any) -> None:
        classes = operation(model, "classLabel").inputs["classes"].arguments[0].value
        found = classes.immediateValue.list.values
        for entry, label in zip(found, labels, strict=True):
            entry.immediateValue.tensor.strings.values[0] = label

    return on_model(change)


def _cut(file: Path) -> Edit:
    def edit(path: Path) -> None:
        content = (path / file).read_bytes()
        (path / file).write_bytes(content[: len(content) * 3 // 4])

    return edit


def _delete(file: Path) -> Edit:
    return lambda path: (path / file).unlink()


def _second_function(model: Any) -> None:
    model.mlProgram.functions["other"].CopyFrom(model.mlProgram.functions["main"])


def _unknown_operator(model: Any) -> None:
    operation(model, "head_pooled").type = "hyperbolic_tangent"


def _older_system(model: Any) -> None:
    function = model.mlProgram.functions["main"]
    function.block_specializations["CoreML7"].CopyFrom(block(model))
    del function.block_specializations[function.opset]
    function.opset = "CoreML7"
    model.specificationVersion = 8


def _output_type(model: Any) -> None:
    array = model.description.output[-1].type.multiArrayType
    array.dataType = array.FLOAT16


def _result_size(model: Any) -> None:
    operation(model, "head_pooler").outputs[0].type.tensorType.dimensions[1].constant.size += 1


def _result_type(model: Any) -> None:
    wrong, right = (operation(model, name).outputs[0] for name in ("head_pooler", "logits"))
    wrong.type.tensorType.dataType = right.type.tensorType.dataType


def _one_length_less(model: Any) -> None:
    for feature in model.description.input:
        del feature.type.multiArrayType.enumeratedShapes.shapes[1]


def _longer_range(model: Any) -> None:
    for feature in model.description.input:
        feature.type.multiArrayType.shapeRange.sizeRanges[1].upperBound += 1


def _unknown_labels(model: Any) -> None:
    operation(model, "logits").outputs[0].type.tensorType.dimensions[1].unknown.SetInParent()


def _described_shape(model: Any) -> None:
    model.description.output[-1].type.multiArrayType.shape[1] += 1
