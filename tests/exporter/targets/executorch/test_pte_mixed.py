"""Artifacts of the precision mixed: what they compute, what is read back, what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import executorch.kernels.quantized  # noqa: F401  (the kernels of int4 tables)
import numpy as np
import pytest
import torch
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from executorch.extension.pybindings.portable_lib import _load_for_executorch_from_buffer
from lowered_modules import quietly
from mixed_programs import OUTPUT, methods, mixed_model, write_mixed
from small_models import small_model
from small_programs import BLOCKS, SmallProgram

from exporter.errors import UserError
from exporter.quantization.levels import quantize_table
from exporter.quantization.mix import Mix
from exporter.quantization.schemes.mixed import rounded_weights
from exporter.targets.executorch import TARGET
from exporter.targets.executorch.arithmetic import _Int4Table
from exporter.targets.executorch.backends.xnnpack.coverage import coverage
from exporter.targets.executorch.backends.xnnpack.smoothing import read_smoothing, smoothed_inputs
from exporter.targets.executorch.backends.xnnpack.stored import stored_weights
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.precisions import check, uniform
from exporter.targets.executorch.program import (
    Call,
    DelegateCall,
    KernelCall,
    Program,
    read_program,
)
from exporter.targets.executorch.structure import structure
from exporter.verification.gate import prove
from exporter.verification.mixed_audit import mixed_audit

pytestmark = pytest.mark.usefixtures("quick")

SITE = "layers.0.attention"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> SmallProgram:
    """Two groups of 64 channels: int4 products and int4 tables, an int8 and a fp32 layer."""
    return write_mixed(
        mixed_model(groups=(2, 2, 2, 1, 2, 2), first=1), tmp_path_factory.mktemp("mixed")
    )


def failures(program: SmallProgram) -> dict[str, str]:
    report, _ = prove(TARGET, program.spec, program.path, program.model)
    return {check.name: check.detail for check in report.failures}


def test_a_mixed_artifact_passes(mixed: SmallProgram) -> None:
    assert mixed.model.mix is not None
    chosen = mixed.model.mix.methods
    assert set(chosen.values()) >= {"int8_token", "int4_token", "fp32", "int4"}
    assert mixed.model.mix.corrected
    assert failures(mixed) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "task", "first", "flavour", "changes"),
    [
        ("bert", "sequence-classification", 1, "optimized", {"layers": 2}),
        ("bert", "masked-lm", 0, "optimized", {}),
        ("squeezebert", "masked-lm", 1, "optimized", {"tied_decoder": False}),
        ("squeezebert", "token-classification", 0, "optimized", {"groups": (2, 4, 1, 2, 4, 2)}),
        ("bert", "question-answering", 2, "optimized", {}),
        ("squeezebert", "feature-extraction", 2, "optimized", {}),
    ],
)
def test_every_task_and_family_passes(
    family: str, task: str, first: int, flavour: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    model = mixed_model(family, task, first, **changes)
    assert failures(write_mixed(model, tmp_path, flavour)) == {}


def test_int4_tables_are_read_by_the_kernel_as_they_were_rounded() -> None:
    """Bit by bit, with scales that are stored as fp16, some of them its smallest numbers."""
    generator = np.random.default_rng(0)
    sizes = np.exp2(np.linspace(-24, 8, 50, dtype=np.float32))
    table = quantize_table(sizes[:, None] * generator.standard_normal((50, 128), np.float32))
    with quietly(), torch.no_grad():
        exported = torch.export.export(_Int4Table(table).eval(), (torch.zeros(1, 50).long(),))
        edge = to_edge_transform_and_lower(
            exported, compile_config=EdgeCompileConfig(_check_ir_validity=False)
        )
        program = _load_for_executorch_from_buffer(edge.to_executorch().buffer)
    (rows,) = program.run_method("forward", (torch.arange(50)[None],))
    np.testing.assert_array_equal(rows[0].numpy(), table.values())


def test_weights_are_read_back_as_the_mix_rounds_them(mixed: SmallProgram) -> None:
    """The corrected layer among them, whose groups are cut out of its levels."""
    expected = rounded_weights(mixed.model)
    found = {
        t.name: t for t in TARGET.stored_weights(mixed.path, mixed.model.config, mixed.model.task)
    }
    assert {name for name, tensor in found.items() if tensor.bits < 32} == expected.keys()
    assert f"{OUTPUT}.weight" in expected
    for name, rounded in expected.items():
        np.testing.assert_array_equal(found[name].values, rounded.values(), name)
        assert found[name].bits == rounded.bits
    assert found["embeddings.word.weight"].bits == 4


def test_smoothing_is_read_back_and_changes_the_structure(mixed: SmallProgram) -> None:
    program = read_program(mixed.path)
    assert mixed.model.mix is not None
    found = TARGET.smoothing(mixed.path)
    assert found.keys() == mixed.model.mix.smoothing.keys()
    for site, factors in mixed.model.mix.smoothing.items():
        np.testing.assert_array_equal(found[site], factors)
    other = change_factors(program, lambda constant: doubled(constant))
    assert structure(other) != structure(program)
    np.testing.assert_array_equal(
        read_smoothing(other).factors[SITE], mixed.model.mix.smoothing[SITE] / 2
    )


def doubled(constant: ConstantReference) -> ConstantReference:
    values = np.ascontiguousarray(constant.array() * 2)
    return replace(constant, content=memoryview(values).cast("B"))


def change_calls(program: Program, change: Callable[[int, Call], Call]) -> Program:
    methods = {
        name: method
        if method.is_constant
        else replace(method, calls=tuple(change(i, call) for i, call in enumerate(method.calls)))
        for name, method in program.methods.items()
    }
    return Program(methods)


def change_factors(
    program: Program,
    change: Callable[[ConstantReference], ConstantReference],
    groups: tuple[int, ...] = (0, 1),
    layers: tuple[str, ...] = ("query", "key", "value"),
) -> Program:
    """Change the constants that the inputs of the attention's ``groups`` are multiplied by."""
    (method,) = (m for m in program.methods.values() if not m.is_constant)
    places = {
        (s.call, s.id)
        for s in smoothed_inputs(program, method)
        if s.layer in [f"{SITE}.{layer}" for layer in layers] and s.group in groups
    }
    assert places

    def changed(index: int, call: Call) -> Call:
        for place, id in places:
            if place == index and isinstance(call, DelegateCall) and call.graph is not None:
                arguments = list(call.arguments)
                position = call.graph.values[id].external_id
                constant = arguments[position]
                assert isinstance(constant, ConstantReference)
                arguments[position] = change(constant)
                call = replace(call, arguments=tuple(arguments))
        return call

    return change_calls(program, changed)


def violations(found: SmallProgram, program: Program) -> tuple[str, ...]:
    model = found.model
    return coverage(program, "mixed", model.config, model.task, len(model.labels or ())).violations


def test_inputs_that_are_not_smoothed_alike(mixed: SmallProgram) -> None:
    program = read_program(mixed.path)
    assert violations(mixed, program) == ()
    (method,) = (m for m in program.methods.values() if not m.is_constant)
    smoothed = next(s for s in smoothed_inputs(program, method) if s.layer == f"{SITE}.query")

    def changed(place: int, call: Call) -> Call:
        """Where one group's input was multiplied by the factors, they are added."""
        if place != smoothed.call or not isinstance(call, DelegateCall) or call.graph is None:
            return call
        nodes = tuple(
            replace(node, kind="XNNAdd") if smoothed.id in node.fields.values() else node
            for node in call.graph.nodes
        )
        return replace(call, graph=replace(call.graph, nodes=nodes))

    found = violations(mixed, change_calls(program, changed))
    assert "layers.0.attention.query reads an input that is multiplied by a constant" in found
    assert "XNNAdd reads a constant that is no linear layer's" in found
    assert "the delegate is handed a constant that is no linear layer's" in found

    single = change_factors(program, doubled, groups=(1,), layers=("query",))
    assert read_smoothing(single).problems


def test_a_mix_that_is_not_the_files_own(mixed: SmallProgram) -> None:
    program = read_program(mixed.path)
    assert mixed.model.mix is not None
    layer, method = OUTPUT, mixed.model.mix.methods[OUTPUT]
    other = {"int8_token": "int4_token"}.get(method, "int8_token")

    def with_mix(text: str) -> Program:
        constant = replace(program.methods["mix"], outputs=(text,))
        return Program({**program.methods, "mix": constant})

    changed = replace(mixed.model.mix, methods={**mixed.model.mix.methods, layer: other})
    bits = 4 if other == "int4_token" else 8
    wanted = f"{layer}.weight is stored with {12 - bits} bits, mixed promises {bits}"
    assert violations(mixed, with_mix(changed.text())) == (wanted,)
    unknown = json.loads(mixed.model.mix.text())
    unknown["methods"][layer] = "int4_tensor"
    for text in ("", "{}", json.dumps(unknown)):
        first, *_ = violations(mixed, with_mix(text))
        assert first.startswith("the file does not say its mix")


@pytest.mark.parametrize("part", [0, 1])
def test_damage_to_an_int4_table(part: int, mixed: SmallProgram) -> None:
    """A bit of the levels, or the last one of a scale."""

    def changed(_: int, call: Call) -> Call:
        if not isinstance(call, KernelCall) or "embedding_4bit" not in call.operator:
            return call
        constant = call.arguments[part]
        assert isinstance(constant, ConstantReference)
        content = bytearray(constant.content)
        content[0] ^= 1
        arguments = list(call.arguments)
        arguments[part] = replace(constant, content=memoryview(bytes(content)))
        return replace(call, arguments=tuple(arguments))

    program = read_program(mixed.path)
    model = mixed.model
    for found, passes in ((program, True), (change_calls(program, changed), False)):
        audit = mixed_audit(stored_weights(found, model.config, model.task), model)
        assert audit.passed == passes
        assert structure(found) == structure(program)


def test_mixes_that_the_delegate_cannot_compute() -> None:
    tied = small_model("bert", "masked-lm", **BLOCKS)
    wrong = Mix({**methods(tied), "embeddings.word": "int8", "head.transform": "fp32"})
    with pytest.raises(UserError, match="the layer before it is fp32"):
        check(wrong, tied.config, tied.task)
    check(Mix({**wrong.methods, "embeddings.word": "fp32"}), tied.config, tied.task)
    with pytest.raises(UserError, match="'int4_tensor', which is not offered"):
        check(Mix({**methods(tied), "head.transform": "int4_tensor"}), tied.config, tied.task)
    with pytest.raises(UserError, match="no 'fp16'"):
        uniform("fp16", tied.config, tied.task)
