"""Running Core ML packages: inputs, batches, padding, and classes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_models import LABELS, MAX_POSITIONS, VOCABULARY, make_batch, tensors
from small_packages import (
    Packages,
    SmallPackage,
    change_model,
    remembered_packages,
    warm_up,
)

from exporter.errors import UserError
from exporter.quantization.schemes import find_scheme
from exporter.targets.base import Array
from exporter.targets.coreml import TARGET
from exporter.targets.coreml.session import CoremlSession

pytestmark = pytest.mark.usefixtures("quick")

Change = Callable[[dict[str, Array]], dict[str, Array]]
#: All lengths, some lengths, one length; in both layouts.
FLAVOURS = ("ranged_logits", "sequence_logits", "fixed_logits")


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    warm_up(tmp_path_factory.mktemp("warm"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return remembered_packages(lambda: tmp_path_factory.mktemp("package"))


def reference(package: SmallPackage, inputs: Mapping[str, Array]) -> dict[str, Array]:
    with torch.no_grad():
        outputs = find_scheme("fp32").reference(package.model).run(**tensors(dict(inputs)))
    return {name: value.numpy() for name, value in outputs.items()}


def assert_close(actual: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert actual.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(actual[name], expected[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_length_up_to_the_longest(flavour: str, packages: Packages) -> None:
    """With a shorter row and one without any token, which attends to its own positions alone."""
    package = packages("fp32", flavour, task="token-classification")
    session = TARGET.open(package.path)
    for length in (1, 2, 17, 31, 32, 33, MAX_POSITIONS):
        inputs = make_batch(3, length)
        assert not inputs["attention_mask"][2].any()
        found = session.run(inputs)
        assert found["logits"].shape == (3, length, len(LABELS))
        assert_close(found, reference(package, inputs))


def test_a_batch_equals_its_rows_alone(packages: Packages) -> None:
    package = packages("fp16", "optimized")
    session, inputs = TARGET.open(package.path), make_batch(4, 11)
    found = session.run(inputs)["logits"]
    assert found.shape == (4, len(LABELS))
    for row in range(4):
        alone = {name: values[row : row + 1] for name, values in inputs.items()}
        np.testing.assert_array_equal(found[row : row + 1], session.run(alone)["logits"])


def test_texts_are_padded_to_the_next_length(packages: Packages) -> None:
    """With the pad id, mask 0 and type 0, in the type that the package takes."""
    inputs = make_batch(1, 5)
    for flavour, changes, padded in (
        ("ranged_logits", {}, 5),
        ("sequence_logits", {}, 32),
        ("sequence_logits", {"pad_token_id": 7}, 32),
        ("fixed_logits", {}, MAX_POSITIONS),
    ):
        package = packages("fp32", flavour, task="token-classification", **changes)
        found = CoremlSession(package.path).pad(inputs)
        for name, filling in (
            ("input_ids", changes.get("pad_token_id", 0)),
            ("attention_mask", 0),
            ("token_type_ids", 0),
        ):
            assert (found[name].dtype, found[name].shape) == (np.int32, (1, padded))
            np.testing.assert_array_equal(found[name][:, :5], inputs[name])
            assert (found[name][:, 5:] == filling).all()


def test_a_full_text_is_not_padded(packages: Packages) -> None:
    session = CoremlSession(packages("fp32", "sequence_logits", task="token-classification").path)
    for length in (32, MAX_POSITIONS):
        assert session.pad(make_batch(1, length))["input_ids"].shape == (1, length)


def test_hidden_states_are_turned_and_cut(packages: Packages) -> None:
    """The last one of a classifier is the first token's."""
    inputs = make_batch(2, 7)
    for flavour in FLAVOURS:
        package = packages("fp32", flavour, task="token-classification")
        found = TARGET.open(package.path, taps=True).run(inputs)
        assert found["hidden.0"].shape == found["hidden.1"].shape == (2, 7, 32)
        assert set(TARGET.open(package.path).run(inputs)) == {"logits"}
    states = [
        TARGET.open(packages("fp32", flavour, layers=2).path, taps=True).run(inputs)
        for flavour in ("optimized", "sequence_ranged")
    ]
    for name, rows in (("hidden.0", 7), ("hidden.1", 7), ("hidden.2", 1)):
        assert {state[name].shape for state in states} == {(2, rows, 32)}
        np.testing.assert_allclose(states[0][name], states[1][name], rtol=0, atol=1e-5)


def test_an_output_without_tokens_is_not_cut(packages: Packages) -> None:
    """As many labels as the package has tokens."""
    package = packages("fp32", "fixed_logits", max_positions=len(LABELS))
    inputs = make_batch(2, 2)
    found = TARGET.open(package.path).run(inputs)
    assert found["logits"].shape == (2, len(LABELS))
    assert_close(found, reference(package, inputs))


def put(name: str, value: Any) -> Change:
    return lambda inputs: {**inputs, name: value(inputs[name])}


def at_the_end(value: int) -> Callable[[Array], Array]:
    return lambda array: np.concatenate([array[:, :-1], np.full_like(array[:, :1], value)], axis=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("input_ids", lambda a: a.astype(np.int32)), r"'int32', \(2, 5\)"),
        (put("attention_mask", lambda a: a.astype(np.float32)), "'float32'"),
        (put("input_ids", lambda a: a.tolist()), "'list'"),
        (put("input_ids", at_the_end(VOCABULARY)), f"input_ids has values .* {VOCABULARY - 1}"),
        (put("input_ids", at_the_end(2**40)), f"input_ids has values .* {VOCABULARY - 1}"),
        (put("input_ids", at_the_end(-1)), "input_ids has values from"),
        (put("token_type_ids", at_the_end(2)), "from 0 to 2; allowed are 0 to 1"),
        (put("attention_mask", at_the_end(2)), "other than 0 and 1"),
        (put("attention_mask", at_the_end(-1)), "other than 0 and 1"),
        (put("attention_mask", lambda a: a[:, :-1]), r"\(2, 4\)"),
        (lambda i: {name: a[:, :0] for name, a in i.items()}, r"\(2, 0\)"),
        (lambda i: {name: a[:0] for name, a in i.items()}, r"\(0, 5\)"),
        (lambda i: {name: a[0] for name, a in i.items()}, r"\(5,\)"),
        (lambda i: {n: a for n, a in i.items() if n != "token_type_ids"}, "Give input_ids"),
        (lambda i: {**i, "position_ids": i["input_ids"]}, "Give input_ids"),
        (lambda _: make_batch(1, MAX_POSITIONS + 1), f"41 tokens; .* {MAX_POSITIONS} positions"),
    ],
)
@pytest.mark.parametrize("flavour", ["ranged_logits", "sequence_logits"])
def test_inputs_that_it_does_not_take(
    change: Change, message: str, flavour: str, packages: Packages
) -> None:
    """And the session lives on."""
    package = packages("fp32", flavour, task="token-classification")
    session, inputs = TARGET.open(package.path), make_batch(2, 5)
    with pytest.raises(UserError, match=message):
        session.run(change(inputs))
    assert_close(session.run(inputs), reference(package, inputs))


def test_a_text_longer_than_the_package_takes(packages: Packages) -> None:
    """The model has more positions."""
    for flavour, lengths in (("optimized", (8, 24)), ("fixed", (20,)), ("ranged", (20,))):
        package = packages("fp16", flavour, lengths)
        session = TARGET.open(package.path)
        longest = lengths[-1]
        assert session.run(make_batch(1, longest))["logits"].shape == (1, len(LABELS))
        with pytest.raises(UserError, match=f"{longest + 1} tokens.*Truncate the text"):
            session.run(make_batch(1, longest + 1))


def test_the_class_has_to_be_that_of_the_logits(packages: Packages, tmp_path: Path) -> None:
    """A package whose label comes from something else gives an error, not an answer."""
    package = packages("fp16", "optimized")
    path = package.copy(tmp_path)

    def wrong(model: Any) -> None:
        """Relu in the place of softmax."""
        function = model.mlProgram.functions["main"]
        program = function.block_specializations[function.opset]
        softmax = next(o for o in program.operations if o.outputs[0].name == "probabilities")
        softmax.type = "relu"
        del softmax.inputs["axis"]

    change_model(path, wrong)
    with pytest.raises(UserError, match="not those of its logits"):
        TARGET.open(path).run(make_batch(1, 5))


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mlpackage", tmp_path):
        with pytest.raises(UserError, match="is no Core ML package"):
            TARGET.open(path)


def test_ordinary_use_is_silent(packages: Packages, capfd: pytest.CaptureFixture[str]) -> None:
    for flavour in ("optimized", "sequence_ranged"):
        package = packages("fp16", flavour)
        for taps in (False, True):
            TARGET.open(package.path, threads=2, taps=taps).run(make_batch(2, 6))
    assert capfd.readouterr() == ("", "")
