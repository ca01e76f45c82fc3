"""What the coverage and the audit of a Core ML package see.

The programs are read from real packages and changed in memory, as packages of another lowering
would be.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_packages import Packages, SmallPackage, remembered_packages, warm_up

from exporter.targets.coreml import TARGET
from exporter.targets.coreml.interpreter import (
    Constant,
    Operation,
    Package,
    Reference,
    open_package,
)
from exporter.targets.coreml.stored import activation_ranges, coverage, stored_weights

pytestmark = pytest.mark.usefixtures("quick")

QUERY = "layers.0.attention.query"
WEIGHT = "layers__0__attention__query__weight"
#: Of the pair in front of queries, keys and values.
LEVELS, VALUES = "layers_0_attention_query_input_levels", "layers_0_attention_query_input"

Change = Callable[[Operation], Operation | None]


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    warm_up(tmp_path_factory.mktemp("warm"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return remembered_packages(lambda: tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def int8(packages: Packages) -> SmallPackage:
    return packages("int8", "optimized")


@pytest.fixture(scope="module")
def static(packages: Packages) -> SmallPackage:
    """With quantized activations."""
    return packages("w8a8", "optimized", task="masked-lm")


def changed(found: SmallPackage, result: str, change: Change) -> Package:
    """The package with another operation in the place of the one that computes ``result``."""
    package = open_package(found.path)
    operations = []
    for operation in package.program.operations:
        other = change(operation) if operation.results[0].name == result else operation
        operations += [other] if other is not None else []
    program = replace(package.program, operations=tuple(operations))
    assert program != package.program
    return replace(package, program=program)


def with_operand(name: str, change: Callable[[Any], Any]) -> Change:
    def wrong(operation: Operation) -> Operation:
        operands = {**operation.operands, name: change(operation.operands[name])}
        return replace(operation, operands=operands)

    return wrong


def violations(found: SmallPackage, package: Package) -> tuple[str, ...]:
    model, precision = found.model, found.spec.precision
    labels = len(model.labels or ())
    scheme = TARGET.scheme(precision)
    return coverage(package, precision, scheme, model.config, model.task, labels).violations


def matrix(name: str) -> Constant:
    return Constant(name, "float16", (2, 2), memoryview(np.ones(4, np.float16)).cast("B"))


def test_an_untouched_package_breaks_no_promise(int8: SmallPackage, static: SmallPackage) -> None:
    for found in (int8, static):
        assert violations(found, open_package(found.path)) == ()


def test_a_weight_under_another_name(int8: SmallPackage) -> None:
    def rename(name: str) -> Change:
        return lambda operation: replace(
            operation, results=(replace(operation.results[0], name=name),)
        )

    package = changed(int8, WEIGHT, rename("layers__0__attention__quirk__weight"))
    assert violations(int8, package) == (
        "layers.0.attention.quirk.weight is no weight of the model",
    )
    package = changed(int8, WEIGHT, rename("something"))
    assert "something is a compressed constant without a name" in violations(int8, package)


@pytest.mark.parametrize("name", ["anything", "layers_0_attention_query_weight"])
def test_a_constant_without_a_name(name: str, int8: SmallPackage) -> None:
    package = changed(int8, "mask_bias", with_operand("y", lambda _: matrix(name)))
    assert violations(int8, package) == ("mul reads a constant that the audit does not see",)


def test_a_constant_with_the_name_of_no_weight(int8: SmallPackage) -> None:
    package = changed(int8, "mask_bias", with_operand("y", lambda _: matrix("mask__weight")))
    assert violations(int8, package) == ("mask.weight is no weight of the model",)


@pytest.mark.parametrize(
    ("dtype", "bits"), [("uint3", 0), ("int4", 4), ("float16", 16), ("float32", 32)]
)
def test_levels_of_another_type(dtype: str, bits: int, int8: SmallPackage) -> None:
    package = changed(int8, WEIGHT, with_operand("data", lambda data: replace(data, dtype=dtype)))
    expected = f"{QUERY}.weight is stored with {bits} bits, int8 promises 8"
    assert violations(int8, package) == (expected,)


def test_levels_that_are_no_constant(int8: SmallPackage) -> None:
    package = changed(int8, WEIGHT, with_operand("data", lambda _: Reference("input_ids")))
    assert violations(int8, package) == (f"{QUERY}.weight is stored with 0 bits, int8 promises 8",)


@pytest.mark.parametrize(("precision", "entries"), [("palettized6", 64), ("palettized4", 16)])
def test_tables_with_another_number_of_entries(
    precision: str, entries: int, packages: Packages
) -> None:
    """Of the older form; in the newer the indices have their own type."""
    found = packages("palettized6", "sequence_ranged_logits")
    package = changed(
        found, WEIGHT, with_operand("lut", lambda lut: replace(lut, shape=(entries,)))
    )
    bits = {64: 6, 16: 4}[entries]
    expected = f"{QUERY}.weight is stored with {bits} bits, palettized6 promises 6"
    assert violations(found, package) == (() if precision == "palettized6" else (expected,))
    found = packages(precision, "optimized")
    package = changed(
        found, WEIGHT, with_operand("indices", lambda indices: replace(indices, dtype="uint8"))
    )
    assert violations(found, package) == (
        f"{QUERY}.weight is stored with 8 bits, {precision} promises {entries.bit_length() - 1}",
    )


def test_a_weight_that_two_constants_claim_to_be(int8: SmallPackage) -> None:
    """The audit gets both, and takes none twice."""
    package = changed(int8, "mask_bias", with_operand("y", lambda _: matrix(WEIGHT)))
    names = [tensor.name for tensor in stored_weights(package)]
    assert names.count(f"{QUERY}.weight") == 2


def test_a_tied_weight_is_read_twice_and_stored_once(packages: Packages) -> None:
    for precision in ("fp16", "int8"):
        found = packages(precision, "optimized", task="masked-lm")
        names = [tensor.name for tensor in stored_weights(open_package(found.path))]
        assert names.count("embeddings.word.weight") == 1
        assert "head.decoder.weight" not in names


def scaled(constant: Constant) -> Constant:
    values = constant.values() * np.float16(1.25)
    return replace(constant, content=memoryview(values.astype(np.float16).tobytes()))


def one_a_channel(constant: Constant) -> Constant:
    values = np.full(32, constant.values(), np.float16)
    return replace(constant, shape=(32,), content=memoryview(values.tobytes()))


@pytest.mark.parametrize(
    ("result", "change"),
    [
        (VALUES, with_operand("scale", scaled)),
        (LEVELS, with_operand("scale", scaled)),
        (VALUES, with_operand("scale", one_a_channel)),
        (VALUES, with_operand("scale", lambda _: Reference("mask"))),
        (VALUES, with_operand("input", lambda _: Reference("hidden_0"))),
        (VALUES, lambda operation: replace(operation, kind="cast")),
        (LEVELS, lambda operation: replace(operation, kind="cast")),
        (VALUES, lambda _: None),
        (LEVELS, lambda _: None),
    ],
)
def test_inputs_that_are_not_quantized(result: str, change: Change, static: SmallPackage) -> None:
    """Or not there and back with one scale: they have no range."""
    package = changed(static, result, change)
    readers = [f"layers.0.attention.{part}" for part in ("query", "key", "value")]
    lines = [f"the input of {name} is not quantized" for name in readers]
    found = violations(static, package)
    assert [line for line in found if "quantized" in line] == lines
    whole = activation_ranges(open_package(static.path))
    assert activation_ranges(package) == {n: r for n, r in whole.items() if n not in readers}


def test_one_layer_that_reads_past_the_levels(static: SmallPackage) -> None:
    package = changed(
        static, "layers_0_attention_query", with_operand("x", lambda _: Reference("hidden_0"))
    )
    assert violations(static, package) == (f"the input of {QUERY} is not quantized",)


def test_ranges_are_those_of_the_scales(static: SmallPackage) -> None:
    whole = activation_ranges(open_package(static.path))
    both = changed(static, VALUES, with_operand("scale", scaled))
    operations = [
        with_operand("scale", scaled)(found) if found.results[0].name == LEVELS else found
        for found in both.program.operations
    ]
    package = replace(both, program=replace(both.program, operations=tuple(operations)))
    ranges = activation_ranges(package)
    assert ranges[QUERY] == pytest.approx(whole[QUERY] * 1.25, rel=1e-3)
    assert ranges["layers.0.feed_forward.output"] == whole["layers.0.feed_forward.output"]
