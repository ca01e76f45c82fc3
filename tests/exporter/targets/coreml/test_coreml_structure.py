"""The structure of a Core ML package: everything but the values of its weights and its ranges."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_models import small_model
from small_packages import Packages, remembered_packages, warm_up, write_package

from exporter.targets.coreml import TARGET
from exporter.targets.coreml.interpreter import (
    Constant,
    Feature,
    Operand,
    Operation,
    Package,
    Program,
    Reference,
    Result,
    open_package,
)
from exporter.targets.coreml.stored import structure

pytestmark = pytest.mark.usefixtures("quick")

#: Operators whose constants are a weight.
DECOMPRESSION = "constexpr_"
#: Operands that hold a range.
RANGES = (("quantize", "scale"), ("dequantize", "scale"))
CALLING = (
    *("task", "labels", "vocab_size", "token_types", "pad_token_id", "max_positions"),
    *("mask_convention", "layout", "lengths", "deployment_target", "recipe"),
)


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    warm_up(tmp_path_factory.mktemp("warm"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return remembered_packages(lambda: tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def package(packages: Packages) -> Package:
    """With compressed weights and with ranges."""
    return open_package(packages("w8a8", "sequence_ranged", task="masked-lm").path)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "palettized4", "w8a8"])
@pytest.mark.parametrize("flavour", ["optimized", "sequence_ranged"])
def test_other_weights_do_not_count(
    precision: str, flavour: str, packages: Packages, tmp_path: Path
) -> None:
    """Nor do ranges, which follow from them."""
    one = packages(precision, flavour, task="masked-lm")
    other = small_model(task="masked-lm", layers=1, weights_seed=5)
    another = write_package(other, tmp_path, precision, flavour)
    assert TARGET.structure(another.path) == TARGET.structure(one.path)
    if precision == "w8a8":
        ranges = [TARGET.activation_ranges(found.path) for found in (one, another)]
        assert ranges[0] != ranges[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"layer_norm_epsilon": 1e-5},
        {"norm_epsilon": 1e-5},
        {"activation": "gelu_new"},
        {"heads": 8},
        {"groups": (4, 4, 4, 4, 4, 4)},
        {"pad_token_id": 1},
        {"vocab_size": 61},
        {"max_positions": 41},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_model_counts(changes: dict[str, Any], packages: Packages) -> None:
    one, other = (packages("fp16", "optimized", **given) for given in ({}, changes))
    assert TARGET.structure(one.path) != TARGET.structure(other.path)


def test_every_form_and_precision_has_a_structure_of_its_own(packages: Packages) -> None:
    made = [
        *(("fp16", flavour, ()) for flavour in ("optimized", "logits", "fixed", "ranged")),
        *(("fp16", "sequence", ()), ("fp16", "optimized", (8, 40)), ("fp16", "optimized", (8, 24))),
        *((precision, "optimized", ()) for precision in ("fp32", "int8", "palettized6")),
    ]
    assert len({TARGET.structure(packages(*given).path) for given in made}) == len(made)


def changed_programs(program: Program) -> Iterator[tuple[str, Program]]:
    """The program with another value in one of its parts."""
    yield "opset", replace(program, opset="CoreML6")
    yield "outputs", replace(program, outputs=(*program.outputs, "hidden_0"))
    for result in changed_results(program.inputs[0]):
        yield "input", replace(program, inputs=(result, *program.inputs[1:]))
    for position, operation in enumerate(program.operations):
        before, after = program.operations[:position], program.operations[position + 1 :]
        yield "an operation less", replace(program, operations=(*before, *after))
        if after:
            swapped = (*before, after[0], operation, *after[1:])
            yield "order of operations", replace(program, operations=swapped)
        for what, changed in changed_operations(operation):
            yield what, replace(program, operations=(*before, changed, *after))


def changed_operations(operation: Operation) -> Iterator[tuple[str, Operation]]:
    kind = operation.kind
    yield "kind", replace(operation, kind=f"{kind}2")
    for position, result in enumerate(operation.results):
        for changed in changed_results(result):
            results = list(operation.results)
            results[position] = changed
            yield f"{kind}: result", replace(operation, results=tuple(results))
    for name, operand in operation.operands.items():
        without = {key: value for key, value in operation.operands.items() if key != name}
        yield f"{kind}.{name} left out", replace(operation, operands=without)
        for other in changed_operands(operand, content=not is_free(operation, name, operand)):
            yield f"{kind}.{name}", replace(operation, operands={**without, name: other})


def changed_operands(operand: Operand, content: bool) -> Iterator[Operand]:
    if isinstance(operand, tuple):
        yield (*operand, operand[0])
        yield operand[::-1]
        return
    if isinstance(operand, str):
        yield f"{operand}2"
    elif isinstance(operand, Reference):
        yield Reference(f"{operand.name}2")
    else:
        yield replace(operand, dtype="int64")
        yield replace(operand, shape=(*operand.shape, 1))
        if content:
            yield with_other_content(operand)
        elif "__" in operand.name and "." not in operand.name:
            yield replace(operand, name=operand.name.replace("__", "__other__", 1))


def with_other_content(constant: Constant) -> Constant:
    content = bytearray(constant.content)
    content[-1] ^= 1
    return replace(constant, content=memoryview(bytes(content)))


def changed_results(result: Result) -> Iterator[Result]:
    yield replace(result, name=f"{result.name}2")
    yield replace(result, dtype="int64")
    yield replace(result, shape=(*result.shape, 1))


def is_free(operation: Operation, name: str, operand: Operand) -> bool:
    """Whether the operand's content is no part of the structure."""
    if not isinstance(operand, Constant):
        return False
    weight = operation.kind.startswith(DECOMPRESSION) or "__" in operand.name
    return weight or (operation.kind, name) in RANGES


def test_every_part_of_a_program_counts(package: Package) -> None:
    expected = structure(package)
    unnoticed, count = [], 0
    for what, program in changed_programs(package.program):
        count += 1
        if structure(replace(package, program=program)) == expected:
            unnoticed.append(what)
    assert not unnoticed
    assert count > 500


def test_the_content_of_weights_and_ranges_does_not_count(package: Package) -> None:
    expected, program = structure(package), package.program
    free = 0
    for position, operation in enumerate(program.operations):
        for name, operand in operation.operands.items():
            if isinstance(operand, Constant) and is_free(operation, name, operand):
                operands = {**operation.operands, name: with_other_content(operand)}
                changed = list(program.operations)
                changed[position] = replace(operation, operands=operands, place="elsewhere")
                other = replace(program, operations=tuple(changed))
                assert structure(replace(package, program=other)) == expected
                free += 1
    assert free > 40


def changed_features(feature: Feature) -> Iterator[Feature]:
    yield replace(feature, name=f"{feature.name}2")
    yield replace(feature, dtype="float64")
    yield replace(feature, shape=(*feature.shape, 1))
    yield replace(feature, enumerated=((1, 8),))
    yield replace(feature, ranges=((1, 1), (1, 39)))
    yield replace(feature, text="Something else.")


def test_what_callers_rely_on_counts(package: Package) -> None:
    expected, described = structure(package), package.description

    def other(**changes: Any) -> str:
        return structure(replace(package, description=replace(described, **changes)))

    for feature in changed_features(described.inputs[1]):
        inputs = (described.inputs[0], feature, described.inputs[2])
        assert other(inputs=inputs) != expected
    for feature in changed_features(described.outputs[0]):
        assert other(outputs=(feature,)) != expected
    assert other(class_labels=("one",)) != expected
    for key in CALLING:
        said = dict(described.user_defined)
        assert other(user_defined={**said, key: f"{said[key]}2"}) != expected
        del said[key]
        assert other(user_defined=said) != expected


def test_what_it_says_of_its_origin_does_not_count(package: Package) -> None:
    described = package.description
    for changes in (
        {"author": "somebody"},
        {"license": "another"},
        {"version": "9"},
        {"user_defined": {**described.user_defined, "source": "here", "flavour": "other"}},
    ):
        other = replace(package, description=replace(described, **changes))
        assert structure(other) == structure(package)
