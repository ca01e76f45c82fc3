"""Lowered packages compute what their schemes define, in every layout, task and family."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lowered_packages import Runner, lowered, scheme_of
from small_models import LABELS, make_batch, small_model, tensors

from exporter.model.config import Family, SourceModel, Task
from exporter.model.encoder import build_module
from exporter.quiet import apart
from exporter.targets.base import OUTPUTS
from exporter.targets.coreml.interpreter import Interpreter, open_package
from exporter.verification.cases import verification_cases
from exporter.verification.parity import layer_parity, output_parity

pytestmark = pytest.mark.usefixtures("quick")

LAYOUTS = ("ranged_logits", "sequence_ranged_logits")
TASKS: tuple[Task, ...] = tuple(OUTPUTS)


def differences(path: Path, model: SourceModel, precision: str) -> list[str]:
    """What the gate would say: of every layer, and of the outputs end to end."""
    scheme = scheme_of(precision)
    reference = scheme.reference(model)
    session = Runner(path, model.config.layers)
    cases = verification_cases(model.config)
    checks = [
        layer_parity(session, reference, cases, scheme.layer_tolerance, lambda _: None),
        output_parity(
            "outputs",
            session.run,
            lambda inputs: reference.run(**inputs),
            cases,
            # A rounding to the other neighbour in one layer goes through those after it.
            1e-5 if precision == "fp32" else 3 * scheme.layer_tolerance.worst,
            lambda _: None,
        ),
    ]
    return [check.detail for check in checks if not check.passed]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("flavour", LAYOUTS)
@pytest.mark.parametrize("family", ["squeezebert", pytest.param("bert", marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", TASKS)
def test_equals_its_reference(
    task: Task, family: Family, flavour: str, precision: str, tmp_path: Path
) -> None:
    model = small_model(family, task)
    assert differences(lowered(model, tmp_path, precision, flavour), model, precision) == []


@pytest.mark.parametrize("precision", [pytest.param("fp32", marks=pytest.mark.slow), "fp16"])
@pytest.mark.parametrize("flavour", LAYOUTS)
@pytest.mark.parametrize(
    "changes",
    [
        {"family": "bert"},
        {"activation": "gelu_new", "task": "masked-lm"},
        {"activation": "relu"},
        {"activation": "silu"},
        {"task": "masked-lm", "tied_decoder": False},
        {"heads": 1},
        {"heads": 2, "groups": (2, 4, 1, 2, 4, 2)},
        {"groups": (1, 1, 4, 4, 1, 4), "layers": 1},
        {"norm_epsilon": 1e-3, "layer_norm_epsilon": 1e-5, "token_types": 1},
    ],
)
def test_equals_its_reference_in_other_shapes(
    changes: dict[str, Any], flavour: str, precision: str, tmp_path: Path
) -> None:
    model = small_model(**changes)
    assert differences(lowered(model, tmp_path, precision, flavour), model, precision) == []


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("flavour", LAYOUTS)
def test_wrong_computations_are_seen(
    flavour: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison above fails where the lowering does something else."""
    with apart():
        from exporter.targets.coreml import layers

    def wrong(name: str, value: object) -> list[str]:
        with monkeypatch.context() as patch:
            patch.setattr(layers, name, value)
            return differences(lowered(model, tmp_path, precision, flavour), model, precision)

    model = small_model(layers=1)
    exact, linear, norm, number = (
        layers._activation,
        layers._linear,
        layers._norm,
        layers.Lowering.number,
    )

    def tanh_form(lowering: Any, tokens: Any, name: str) -> Any:
        return layers._each(tokens, lambda x: layers._tanh_gelu(lowering, x, name))

    def swapped(lowering: Any, name: str, *arguments: Any) -> Any:
        other = {"query": "key", "key": "query"}
        layer, part = name.rsplit(".", 1)
        return linear(lowering, f"{layer}.{other.get(part, part)}", *arguments)

    def coarse(lowering: Any, weight: str, tokens: Any, epsilon: float, name: str) -> Any:
        assert epsilon < 1e-5
        return norm(lowering, weight, tokens, 1e-5, name)

    class Unmasked(layers.Lowering):
        def number(self, value: float) -> Any:
            return number(self, 0.0 if value == self.masked else value)

    assert exact is not tanh_form
    assert wrong("_activation", tanh_form)
    assert wrong("_linear", swapped)
    assert wrong("_norm", coarse)
    with apart():
        from exporter.targets.coreml import program
    with monkeypatch.context() as patch:
        patch.setattr(program, "Lowering", Unmasked)
        path = lowered(model, tmp_path, precision, flavour)
    assert differences(path, model, precision)


@pytest.mark.parametrize("layout", ["", "sequence_"])
def test_enumerated_and_fixed_lengths_give_the_same(layout: str, tmp_path: Path) -> None:
    """Up to a rounding: padding takes part in no sum, but the sums are made in other orders."""
    model = small_model("bert", "token-classification", max_positions=64)
    length = 64
    batch = make_batch(2, length)
    found = {
        name: Runner(lowered(model, tmp_path, "fp32", f"{layout}{name}"), 2).run(batch)["logits"]
        for name in ("ranged_logits", "fixed_logits", "logits")
    }
    with torch.no_grad():
        wanted = build_module(model)(**tensors(batch))["logits"].numpy()
    for name, logits in found.items():
        np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("flavour", LAYOUTS)
def test_a_text_without_tokens_is_finite(flavour: str, precision: str, tmp_path: Path) -> None:
    model = small_model(task="question-answering")
    runner = Runner(lowered(model, tmp_path, precision, flavour), model.config.layers)
    batch = make_batch(1, 9)
    batch["attention_mask"][:] = 0
    assert all(np.isfinite(values).all() for values in runner.run(batch).values())


@pytest.mark.parametrize("flavour", ["ranged", "sequence_ranged"])
def test_a_classifier_names_the_label(flavour: str, tmp_path: Path) -> None:
    model = small_model()
    package = open_package(lowered(model, tmp_path, "fp16", flavour))
    assert package.description.class_labels == LABELS
    interpreter = Interpreter(package)
    batch = make_batch(2, 11)
    for row in range(2):
        given = {name: value[row : row + 1].astype(np.int32) for name, value in batch.items()}
        found = interpreter.run(given)
        exponentials = np.exp(found["logits"][0] - found["logits"].max())
        wanted = exponentials / exponentials.sum()
        np.testing.assert_allclose(found["classLabel_probs"].reshape(-1), wanted, rtol=1e-5)
        assert found["classLabel"] == LABELS[int(wanted.argmax())]
