"""Ways to damage an ONNX artifact on disk, and the check of the gate that has to notice."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from file_edits import (
    Edit,
    drop_input,
    exchange,
    flip_bit,
    node_of,
    remove,
    replace_operator,
    rewrite,
    set_attribute,
    set_metadata,
    take_input_of,
    tensor_of,
)
from onnx import helper, numpy_helper

from exporter.targets.base import Array

#: The artifact cannot be opened or run at all: the gate raises UserError.
UNUSABLE = "unusable"

QUERY = "layers.1.attention.query.weight"
INNER = "layers.0.feed_forward.intermediate.weight"
ALL = ("fp32", "fp16", "int8")
#: The graphs of fp16 are those of fp32 with casts.
EACH_KIND = ("fp32", "int8")
FLOAT = ("fp32", "fp16")
BOTH = ("optimized", "portable")


@dataclass(frozen=True)
class FileCorruption:
    """``edit`` changes the model that is on disk; ``check`` is the check that has to fail."""

    name: str
    check: str
    edit: Edit
    precisions: tuple[str, ...] = ALL
    flavours: tuple[str, ...] = ("optimized",)


def corrupt(path: Path, corruption: FileCorruption) -> None:
    """Load, edit and write the file again."""
    model = onnx.load(path)
    corruption.edit(model)
    onnx.save(model, path)


def _swap_groups(model: onnx.ModelProto) -> None:
    exchange(model, f"{INNER}/group_1", f"{INNER}/group_2")


def _swap_query_and_key(model: onnx.ModelProto) -> None:
    for group in range(4):
        key = QUERY.replace("query", "key")
        exchange(model, f"{QUERY}/group_{group}", f"{key}/group_{group}")


def _coarser_step(model: onnx.ModelProto) -> None:
    """Half of the levels of a row, all values still within half of the new step."""
    rewrite(model, f"{QUERY}/group_0/scale", lambda scale: scale * 2)
    rewrite(model, f"{QUERY}/group_0", lambda levels: np.rint(levels / 2).astype(np.int8))


def _unknown_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "head.x.weight"))


def _half_in_float_file(model: onnx.ModelProto) -> None:
    """One group stored as fp16 behind a cast, every value rounded within half a step."""
    name = f"{QUERY}/group_0"
    rewrite(model, name, lambda values: values.astype(np.float16))
    for node in model.graph.node:
        for index, text in enumerate(node.input):
            if text == name:
                node.input[index] = f"{name}/cast"
    cast = helper.make_node("Cast", [name], [f"{name}/cast"], name=f"{name}/cast", to=1)
    model.graph.node.insert(0, cast)


def _insert_float_product(model: onnx.ModelProto, weight: str) -> None:
    """Replace an int8 product by a product in fp32 of the dequantized input and ``weight``."""
    product = node_of(model, "MatMulIntegerToFloat", "layers.0/feed_forward/intermediate/group_0")
    values, _, scale, _, zero_point, _, bias = product.input
    place = list(model.graph.node).index(product)
    made = [
        helper.make_node("DequantizeLinear", [values, scale, zero_point], ["x"], name="x"),
        helper.make_node("MatMul", ["x", weight], ["y"], name="y"),
        helper.make_node("Add", ["y", bias], list(product.output), name="z"),
    ]
    model.graph.node.remove(product)
    for offset, node in enumerate(made):
        model.graph.node.insert(place + offset, node)


def _unquantized_layer(model: onnx.ModelProto) -> None:
    """One group of one layer is stored and multiplied in fp32."""
    name = f"{INNER}/group_0"
    scale = numpy_helper.to_array(tensor_of(model, f"{name}/scale"))
    tensor = tensor_of(model, name)
    values = numpy_helper.to_array(tensor).astype(np.float32) * scale
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    remove(model, f"{name}/scale")
    _insert_float_product(model, name)


def _dequantized_layer(model: onnx.ModelProto) -> None:
    """One group of one layer is stored as int8, and dequantized to be multiplied in fp32."""
    name = f"{INNER}/group_0"
    made = [
        helper.make_node("Cast", [f"{name}/int8"], ["w"], name="w", to=1),
        helper.make_node("Mul", ["w", f"{name}/scale"], ["v"], name="v"),
    ]
    for node in reversed(made):
        model.graph.node.insert(0, node)
    _insert_float_product(model, "v")


def _rename_output(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.output[0] == "logits":
            node.output[0] = model.graph.output[0].name = "scores"


def _last_row(model: onnx.ModelProto) -> None:
    """The classifier's last layer computes the last token's row instead of the first one's."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1]), "last"))
    for node in model.graph.node:
        if node.op_type == "Gather" and node.name.startswith("layers.1/attention"):
            node.input[1] = "last"


def _swapped_labels(model: onnx.ModelProto) -> None:
    set_metadata("labels", '["yes", "no", "maybe"]')(model)


def _set(values: float) -> Callable[[Array], Array]:
    return lambda array: np.full_like(array, values)


def _nan(values: Array) -> Array:
    values.ravel()[-1] = np.nan
    return values


def file_corruptions() -> Iterator[FileCorruption]:
    """Every way in which a file is damaged in the tests."""
    one, gain = f"{QUERY}/group_0", "layers.0.attention.norm.weight"
    rows = "head.classifier.weight"
    yield FileCorruption("labels swapped", "metadata", _swapped_labels)
    yield FileCorruption("another precision", "metadata", set_metadata("precision", "int4"))
    yield FileCorruption("another task", "metadata", set_metadata("task", "masked-lm"))
    yield FileCorruption("more positions", "metadata", set_metadata("max_positions", "9999"))
    yield FileCorruption("fewer positions", UNUSABLE, set_metadata("max_positions", "8"))
    for bit in (0, 22, 31):
        yield FileCorruption(f"fp32 bit {bit}", "weight audit", flip_bit(one, bit), ("fp32",))
        yield FileCorruption(f"gain bit {bit}", "weight audit", flip_bit(gain, bit))
    for bit in (0, 9, 15):
        yield FileCorruption(f"fp16 bit {bit}", "weight audit", flip_bit(one, bit), ("fp16",))
    for bit in (0, 7):
        yield FileCorruption(f"int8 bit {bit}", "weight audit", flip_bit(one, bit), ("int8",))
    for bit in (0, 22):
        edit = flip_bit(f"{one}/scale", bit)
        yield FileCorruption(f"scale bit {bit}", "weight audit", edit, ("int8",))
    yield FileCorruption("coarser step", "weight audit", _coarser_step, ("int8",))
    yield FileCorruption(
        "group transposed", "weight audit", lambda m: rewrite(m, one, np.transpose), flavours=BOTH
    )
    yield FileCorruption(
        "oblong group transposed", UNUSABLE, lambda m: rewrite(m, f"{INNER}/group_0", np.transpose)
    )
    yield FileCorruption("groups swapped", "weight audit", _swap_groups, flavours=BOTH)
    yield FileCorruption("query and key swapped", "weight audit", _swap_query_and_key)
    yield FileCorruption(
        "classifier rows swapped",
        "weight audit",
        lambda m: rewrite(m, rows, lambda values: values[[1, 0, 2]]),
        flavours=BOTH,
    )
    yield FileCorruption("not a number", "weight audit", lambda m: rewrite(m, gain, _nan))
    yield FileCorruption("weight left out", UNUSABLE, lambda m: remove(m, one), flavours=BOTH)
    yield FileCorruption("scale left out", UNUSABLE, lambda m: remove(m, f"{one}/scale"), ("int8",))
    yield FileCorruption("unknown weight", "coverage", _unknown_weight)
    yield FileCorruption("fp16 among fp32", "coverage", _half_in_float_file, ("fp32",), BOTH)
    yield FileCorruption("layer unquantized", "coverage", _unquantized_layer, ("int8",))
    yield FileCorruption("layer dequantized", "coverage", _dequantized_layer, ("int8",))
    yield from _node_corruptions()


def _node_corruptions() -> Iterator[FileCorruption]:
    """Edits of the graph: the values of all weights stay right."""

    def edited(
        name: str, edit: Edit, *precisions: str, flavours: tuple[str, ...] = BOTH
    ) -> Iterator[FileCorruption]:
        yield FileCorruption(name, "structure", edit, precisions or EACH_KIND, flavours)

    layer, attention = "layers.0", "layers.0/attention"
    yield from edited("gelu variant", set_attribute("Gelu", "approximate", "tanh"))
    yield from edited("epsilon", set_attribute("LayerNormalization", "epsilon", 1e-5, layer))
    yield from edited("mask removed", lambda m: rewrite(m, "mask/masked", _set(0)))
    yield from edited("mask inverted", lambda m: rewrite(m, "mask/one", _set(0)))
    yield from edited(
        "mask ignored", drop_input("Attention", 3, attention), flavours=("optimized",)
    )
    yield from edited(
        "attention scale", set_attribute("Attention", "scale", 0.5, layer), flavours=("optimized",)
    )
    yield from edited(
        "attention scale",
        lambda m: rewrite(m, "attention/scale", lambda scale: scale * 2),
        flavours=("portable",),
    )
    yield from edited("token types ignored", drop_input("Sum", 1, "embeddings/Sum"))
    yield from edited("pooler without tanh", replace_operator("Tanh", "Identity"))
    yield from edited("last token's row", _last_row)
    yield from edited("residual dropped", drop_input("Gemm", 2, f"{attention}/output"), *FLOAT)
    yield from edited("residual dropped", drop_input("Sum", 1, attention), "int8")
    yield from edited(
        "range of another tensor",
        take_input_of(
            "MatMulIntegerToFloat", 2, f"{layer}/feed_forward/output/group_1", f"{layer}/feed"
        ),
        "int8",
        flavours=("optimized",),
    )
    yield from edited("output renamed", _rename_output)
