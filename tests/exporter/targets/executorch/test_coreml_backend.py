"""Core ML artifacts: evaluated, audited, proved by the gate; damaged ones are refused."""

import logging
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from evaluated_backends import (
    Artifact,
    Mutation,
    flip_a_bit,
    ignore_mask,
    make,
    mutated,
    parity,
    swap_query_and_key,
    tanh_gelu,
)
from small_models import make_batch

from exporter.errors import UserError
from exporter.targets.executorch import TARGET
from exporter.targets.executorch.backends.base import find_backend
from exporter.targets.executorch.backends.coreml.dialect import DIALECT
from exporter.targets.executorch.backends.graph import read_delegated

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("half")
    return make("coreml", "fp16", "squeezebert", folder, task="token-classification")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make("coreml", "fp32", "bert", tmp_path_factory.mktemp("full"))


def test_the_gate_passes_fp16(half: Artifact) -> None:
    assert half.failures() == set()


def test_fp32_equals_its_reference(full: Artifact) -> None:
    assert parity(full).passed
    assert full.audit().passed


def test_a_text_of_one_token_is_allowed(half: Artifact) -> None:
    """Core ML refuses lengths outside the declared range; PyTorch's range begins at 2."""
    _, (found,) = read_delegated(half.path, DIALECT)
    longest = half.model.config.max_positions
    assert [value.limits for value in found.graph.inputs] == [((1, 1), (1, longest))] * 3


def test_all_is_stored_in_fp16(half: Artifact) -> None:
    model = half.model
    coverage = TARGET.coverage(half.path, "fp16", model.config, model.task, 3)
    assert set(coverage.weights) == set(model.weights)
    assert set(coverage.weights.values()) == {"float16"}
    assert coverage.violations == ()
    assert coverage.operators["coreml.linear"] == 6 * 4 - 3 + 1
    wrong = TARGET.coverage(half.path, "fp32", model.config, model.task, 3).violations
    assert len(wrong) == len(model.weights)


def test_a_flipped_bit_fails_the_audit(half: Artifact, tmp_path: Path) -> None:
    name = "layers.0.attention.key.weight"
    damaged = flip_a_bit(half, name, tmp_path)
    assert half.audit().passed
    audit = damaged.audit()
    assert not audit.passed
    assert name in audit.detail
    assert damaged.structure() == half.structure()


def test_unknown_operators_are_refused(full: Artifact, tmp_path: Path) -> None:
    """A protobuf text is its length and its characters."""
    damaged = full.edited(tmp_path, b"\n\x04tanh", b"\n\x04tanx")
    with pytest.raises(
        UserError, match=r"operation \d+ of main \(.*\): the operator tanx is not known"
    ):
        damaged.session()
    assert damaged.structure() != full.structure()
    inexact = full.path.read_bytes().replace(b"EXACT", b"EXACX")
    path = tmp_path / "mode.pte"
    path.write_bytes(inexact)
    with pytest.raises(UserError, match="gelu with the mode EXACX"):
        TARGET.open(path).run(make_batch(1, 3))


def test_damaged_packages_are_refused(half: Artifact, tmp_path: Path) -> None:
    content = half.path.read_bytes()
    for old in (b'"inputNames"', b'"sedon"', b"rootModelIdentifier", b"\xef\xbe\xad\xde"):
        assert old in content
        path = tmp_path / "damaged.pte"
        path.write_bytes(content.replace(old, b"x" * len(old)))
        with pytest.raises(UserError, match=r"damaged\.pte cannot be read"):
            TARGET.open(path)


def test_the_order_of_the_arguments_counts(half: Artifact, tmp_path: Path) -> None:
    """The package's names are those of the delegate call's arguments, in another order."""
    damaged = half.edited(
        tmp_path,
        b'["token_type_ids", "input_ids", "attention_mask"]',
        b'["token_type_ids", "attention_mask", "input_ids"]',
    )
    assert damaged.structure() != half.structure()
    assert not parity(damaged).passed


@pytest.mark.parametrize(
    "mutation",
    [
        tanh_gelu,
        pytest.param(swap_query_and_key, marks=pytest.mark.slow),
        pytest.param(ignore_mask, marks=pytest.mark.slow),
    ],
)
def test_wrong_computations_are_refused(mutation: Mutation, half: Artifact, tmp_path: Path) -> None:
    assert parity(half).passed
    with mutated(mutation):
        wrong = make("coreml", "fp16", "squeezebert", tmp_path, task="token-classification")
    assert not parity(wrong).passed


def test_an_operator_outside_the_delegate_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And a lowering prints nothing, and leaves nothing behind."""
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

    create = CoreMLPartitioner.__init__

    def partial(self: CoreMLPartitioner, **options: object) -> None:
        options |= {
            "lower_full_graph": False,
            "skip_ops_for_coreml_delegation": ["aten.tanh.default"],
        }
        create(self, **options)

    monkeypatch.setattr(CoreMLPartitioner, "__init__", partial)
    level, folder = logging.getLogger().level, Path(tempfile.gettempdir())
    before = set(folder.iterdir())
    wrong = make("coreml", "fp16", "squeezebert", tmp_path)
    left = {path.name for path in set(folder.iterdir()) - before}
    assert not [name for name in left if re.search("coreml|mlpackage|executorch|inductor", name)]
    assert (logging.getLogger().level, Path(tempfile.gettempdir())) == (level, folder)
    assert capfd.readouterr() == ("", "")

    config, task = wrong.model.config, wrong.model.task
    violations = TARGET.coverage(wrong.path, "fp16", config, task, 3).violations
    assert "aten::tanh.out runs outside the delegate" in violations
    assert "2 delegates of CoreMLBackend, not one" in violations
    with pytest.raises(UserError, match="not one program of CoreMLBackend alone"):
        wrong.session()


def test_inputs_are_checked(half: Artifact) -> None:
    batch = make_batch(2, 5)
    with pytest.raises(UserError, match="; allowed are 0 to"):
        half.session().run({**batch, "input_ids": np.full((2, 5), 1 << 20)})


def test_it_says_that_it_was_not_run() -> None:
    assert "not run" in find_backend("coreml").not_run
    assert "not run" in TARGET.not_run(TARGET.artifacts((), ("optimized",), ("coreml",))[0])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("squeezebert", {"layers": 2}),
        ("bert", {"layers": 2}),
        ("squeezebert", {"task": "masked-lm", "groups": (2, 4, 1, 2, 4, 2)}),
        ("bert", {"task": "question-answering", "heads": 2}),
        ("bert", {"task": "masked-lm", "tied_decoder": False, "activation": "gelu_new"}),
        ("bert", {"task": "feature-extraction", "activation": "silu"}),
    ],
)
def test_the_gate_passes_others(
    precision: str, family: str, changes: dict[str, object], tmp_path: Path
) -> None:
    assert make("coreml", precision, family, tmp_path, **changes).failures() == set()  # type: ignore[arg-type]
