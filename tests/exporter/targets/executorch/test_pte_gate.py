"""The gate on healthy artifacts for the CPU backend: tasks, families, precisions, odd sizes."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_models import small_model
from small_programs import BLOCKS, Programs, SmallProgram, write_program

from exporter.model.config import TASKS
from exporter.quantization.schemes import find_scheme
from exporter.targets.executorch import TARGET
from exporter.targets.executorch.module import ChainedLayer
from exporter.targets.executorch.program import read_program
from exporter.verification.gate import prove

pytestmark = pytest.mark.usefixtures("quick")

#: Groups that hold one head and a half, so that they are joined before attention.
HALF_HEADS = {"hidden_size": 48, "heads": 6, "groups": (4, 4, 4, 1, 4, 4)}
#: Different counts in every layer, also of query, key and value, and around the activation.
MIXED = {"groups": (2, 4, 1, 2, 4, 2)}


def failures(program: SmallProgram) -> dict[str, str]:
    """Detail of every check that fails."""
    report, coverage = prove(TARGET, program.spec, program.path, program.model)
    assert report.passed == (not report.failures)
    assert coverage.outside
    return {check.name: check.detail for check in report.failures}


@pytest.mark.parametrize(
    ("precision", "flavour", "changes"),
    [
        ("fp32", "optimized", {}),
        ("int8", "optimized", {}),
        ("int4", "optimized", {**BLOCKS, "family": "bert"}),
        ("fp32", "buckets", {"task": "token-classification"}),
        ("fp32", "optimized", {"activation": "gelu_new", "family": "bert"}),
        ("int8", "optimized", {"task": "masked-lm", "family": "bert"}),
    ],
)
def test_healthy_artifacts_pass(
    precision: str, flavour: str, changes: dict[str, Any], programs: Programs
) -> None:
    assert failures(programs(precision, flavour, **changes)) == {}


def wide_matrix() -> list[Any]:
    """All that is too much for every run of the tests."""
    cases = [
        (precision, "optimized", {"family": family, "task": task, "layers": 2})
        for family, task, precision in product(("squeezebert", "bert"), TASKS, ("fp32", "int8"))
    ]
    cases += [
        ("int4", "optimized", {**BLOCKS, "family": family, "task": task, "layers": 2})
        for family in ("squeezebert", "bert")
        for task in ("sequence-classification", "masked-lm")
    ]
    cases += [
        ("fp32", "optimized", {"activation": activation, "task": task})
        for activation in ("gelu", "gelu_new", "relu", "silu")
        for task in ("sequence-classification", "masked-lm")
    ]
    for precision in ("fp32", "int8"):
        cases += [
            (precision, "optimized", HALF_HEADS),
            (precision, "optimized", MIXED),
            (precision, "optimized", {"max_positions": 5}),
            (precision, "optimized", {"max_positions": 3}),
            (precision, "optimized", {"task": "masked-lm", "tied_decoder": False}),
            (precision, "buckets", {"layers": 2}),
            (precision, "buckets", {"task": "question-answering", "max_positions": 70}),
        ]
    cases += [("int4", "optimized", {}), ("int4", "buckets", {**BLOCKS, "family": "bert"})]
    return [
        pytest.param(*case, id=f"{case[0]}-{case[1]}-{'-'.join(map(str, case[2].values()))}")
        for case in cases
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "flavour", "changes"), wide_matrix())
def test_every_kind_of_artifact_passes(
    precision: str, flavour: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    model = small_model(**{"layers": 1, **changes})
    assert failures(write_program(model, tmp_path, precision, flavour)) == {}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_weights_are_read_back_as_they_were_given(precision: str, programs: Programs) -> None:
    """fp32 bit by bit, int8 as the scheme rounds; every weight once."""
    program = programs(precision)
    scheme = find_scheme(TARGET.scheme(precision))
    expected = scheme.reference(program.model).module.state_dict()
    model = program.model
    found = {t.name: t for t in TARGET.stored_weights(program.path, model.config, model.task)}
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor.values, expected[name].numpy(), name)
    widths = {tensor.bits for tensor in found.values()}
    assert widths == ({32} if precision == "fp32" else {32, 8})


def test_what_the_manifest_says_about_operators(programs: Programs) -> None:
    program = programs("int8")
    model = program.model
    found = TARGET.coverage(program.path, "int8", model.config, model.task, 3)
    assert found.violations == ()
    # Query, key, value, intermediate and output have four groups each; post-attention, pooler,
    # classifier are whole.
    assert found.operators["xnnpack.XNNFullyConnected"] == 5 * 4 + 3
    assert found.operators["aten::native_layer_norm.out"] == 3
    assert found.outside.keys() == {n for n in found.operators if not n.startswith("xnnpack.")}
    assert set(found.kept) == {
        "head.classifier.weight",
        "embeddings.token_type.weight",
        *(name for name, tensor in model.weights.items() if tensor.ndim == 1),
    }
    assert found.weights["layers.0.attention.query.weight"] == "int8"


def test_int4_leaves_what_has_no_blocks_in_int8(programs: Programs) -> None:
    """Of 32 channels in 4 groups, only post-attention and the pooler read 32 at a time."""
    program = programs("int4", groups=(4, 4, 4, 1, 4, 4))
    model = program.model
    found = TARGET.coverage(program.path, "int4", model.config, model.task, 3)
    assert found.violations == ()
    narrow = {name for name, kind in found.weights.items() if kind == "int4"}
    assert narrow == {"layers.0.attention.output.weight", "head.pooler.weight"}
    assert found.weights["embeddings.word.weight"] == "int8"
    assert found.kept["embeddings.word.weight"] == "an embedding table"
    assert "no whole blocks" in found.kept["layers.0.attention.query.weight"]


def test_a_twin_has_the_same_structure_and_another_model_has_not(
    programs: Programs, tmp_path: Path
) -> None:
    program = programs("fp32", family="bert")
    other = replace(program.model, weights=small_model("bert", layers=1, weights_seed=5).weights)
    twin = write_program(other, tmp_path, "fp32")
    assert TARGET.structure(program.path) == TARGET.structure(twin.path)
    assert TARGET.structure(program.path) != TARGET.structure(programs("fp32").path)


def test_the_same_model_gives_the_same_file(programs: Programs, tmp_path: Path) -> None:
    program = programs("fp32", family="bert")
    again = write_program(program.model, tmp_path, "fp32")
    assert again.path.read_bytes() == program.path.read_bytes()


def test_a_file_says_which_product_is_which_layers(programs: Programs) -> None:
    order = read_program(programs("fp32").path).constants()["layer_order"]
    (products,) = json.loads(str(order)).values()
    counts = {name: [g for n, g in products if n == name] for name in dict(products)}
    assert sorted(counts["layers.0.attention.query"]) == [0, 1, 2, 3]
    assert counts["layers.0.attention.output"] == [0]
    assert counts["head.classifier"] == [0]
    assert len(products) == 23


def test_the_signature_is_that_of_one_text(programs: Programs) -> None:
    inputs, outputs = TARGET.signature(programs("fp32").path)
    assert [(i.name, i.dtype, i.shape) for i in inputs] == [
        (name, "int64", (1, "sequence"))
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    assert [(o.name, o.shape) for o in outputs] == [("logits", (1, 3))]
    _, outputs = TARGET.signature(programs("fp32", "buckets", task="token-classification").path)
    assert [(o.name, o.shape) for o in outputs] == [("logits", (1, "sequence", 3))]


@pytest.mark.slow
def test_an_error_in_one_bucket_alone_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    correct = ChainedLayer.forward

    def wrong_at_64(
        self: ChainedLayer, hidden: torch.Tensor, mask: torch.Tensor, first_only: bool
    ) -> torch.Tensor:
        mask = mask * 0 if mask.shape[-1] == 64 else mask
        return correct(self, hidden, mask, first_only)

    monkeypatch.setattr(ChainedLayer, "forward", wrong_at_64)
    program = write_program(
        small_model(layers=1, max_positions=70), tmp_path, "fp32", flavour="buckets"
    )
    assert {"outputs", "layer parity"} <= set(failures(program))
