"""The comparison itself: what it measures, and that nothing unusual slips through."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import MAX_POSITIONS, small_model, write

from exporter.quantization.schemes import find_scheme
from exporter.quantization.tolerance import FLOAT_TOLERANCE
from exporter.targets.base import Array
from exporter.targets.onnx import TARGET
from exporter.verification.cases import Case, verification_cases
from exporter.verification.parity import (
    layer_parity,
    output_parity,
    relative_error,
)
from exporter.verification.report import Check, GateReport

pytestmark = pytest.mark.usefixtures("quick")

Change = Callable[[dict[str, Array]], dict[str, Array]]


class Changed:
    """A session whose results are changed on the way out."""

    def __init__(self, path: Path, change: Change) -> None:
        self._session, self._change = TARGET.open(path, taps=True), change

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self._change(self._session.run(inputs))


def layers(path: Path, change: Change, task: str = "question-answering") -> Check:
    model = small_model(task=task)  # type: ignore[arg-type]
    reference = find_scheme("fp32").reference(TARGET.stored_model(model, "fp32"))
    cases = verification_cases(model.config)
    return layer_parity(Changed(path, change), reference, cases, FLOAT_TOLERANCE, lambda _: None)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write(small_model(task="question-answering"), tmp_path, "fp32", "optimized")[1]


def put(name: str, edit: Callable[[Array], Array]) -> Change:
    return lambda results: {**results, name: edit(results[name].copy())}


def one_value(value: float) -> Callable[[Array], Array]:
    def edit(array: Array) -> Array:
        array.ravel()[-1] = value
        return array

    return edit


def test_a_healthy_artifact_passes(artifact: Path) -> None:
    check = layers(artifact, lambda results: results)
    assert check.passed
    stages = {"embeddings", "layer 0", "layer 1", "head start_logits", "head end_logits"}
    assert set(check.measured) == stages
    assert 0 < max(check.measured.values()) < 1e-6


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        (put("hidden.0", lambda a: a * 1.0001), "embeddings"),
        (put("hidden.2", lambda a: a + np.float32(1e-3)), "layer 1"),
        (put("hidden.1", one_value(np.nan)), "layer 0"),
        (put("hidden.1", one_value(np.inf)), "layer 0"),
        (put("start_logits", one_value(np.nan)), "head start_logits"),
        (put("end_logits", lambda a: a[:, :-1]), "head end_logits"),
        (put("end_logits", lambda a: a[..., None]), "head end_logits"),
        (lambda r: {k: v for k, v in r.items() if k != "start_logits"}, "head start_logits"),
        (lambda r: {k: v for k, v in r.items() if k != "hidden.1"}, "hidden.1"),
    ],
)
def test_every_stage_is_compared(change: Change, stage: str, artifact: Path) -> None:
    check = layers(artifact, change)
    assert not check.passed
    assert check.measured[stage] > 1e-5
    others = [error for name, error in check.measured.items() if name != stage]
    if stage != "layer 1":  # the two heads read it
        assert sum(error > 1e-5 for error in others) <= 1  # the stage after it


def test_an_error_in_one_case_is_enough(artifact: Path) -> None:
    """Only the case with a row that is all padding has two rows of 24 tokens."""

    def change(results: dict[str, Array]) -> dict[str, Array]:
        if results["hidden.0"].shape[:2] == (2, 24):
            return put("hidden.2", lambda a: a * 1.001)(results)
        return results

    assert not layers(artifact, change).passed


def outputs(actual: Array, expected: Array, tolerance: float = 1e-3) -> Check:
    """The check on two cases: a healthy one and the given one."""
    healthy = np.ones((2, 3), np.float32)
    results = {"healthy": (healthy, healthy), "given": (actual, expected)}
    names = iter(results)

    class Fixed:
        def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
            del inputs
            self.name = next(names)
            return {"logits": results[self.name][0]}

    session = Fixed()
    empty = np.zeros((1, 1), np.int64)
    return output_parity(
        "outputs",
        session.run,
        lambda _: {"logits": torch.from_numpy(results[session.name][1])},
        [Case(name, {"input_ids": empty}) for name in results],
        tolerance,
        lambda _: None,
    )


ONES = np.ones((2, 3), np.float32)


def test_outputs_that_are_equal_pass() -> None:
    check = outputs(ONES, ONES)
    assert check.passed
    assert check.measured == {"healthy": 0, "given": 0}


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (ONES * 1.01, ONES),
        (ONES * np.nan, ONES),
        (ONES, ONES * np.nan),
        (ONES * np.nan, ONES * np.nan),
        (ONES * np.inf, ONES),
        (ONES, ONES * np.inf),
        (ONES * np.inf, ONES * np.inf),
        (ONES[:1], ONES),
        (ONES[..., None], ONES),
        (ONES * 2e30, ONES * 1e30),
    ],
)
def test_outputs_that_differ_fail(actual: Array, expected: Array) -> None:
    assert not outputs(actual.astype(np.float32), expected.astype(np.float32)).passed


def test_relative_error_is_relative_to_the_expected_values() -> None:
    assert relative_error(ONES * 1.5, ONES) == pytest.approx(0.5)
    assert relative_error(ONES * 3, ONES * 2) == pytest.approx(0.5)
    assert relative_error(ONES * 3, ONES * 2, scale=4) == pytest.approx(0.25)
    assert relative_error(ONES, ONES * 0) == pytest.approx(1)


def test_cases_are_what_they_say() -> None:
    config = small_model().config
    cases = {case.name: case.inputs for case in verification_cases(config)}
    masks = {name: inputs["attention_mask"] for name, inputs in cases.items()}
    assert masks["one token"].shape == (1, 1)
    assert masks["longest"].shape == (1, MAX_POSITIONS)
    assert not masks["all padding"][0].any()
    assert masks["padded batch"].sum(axis=1).tolist() == [32, 19, 2]
    assert masks["scattered padding"][0, :6].tolist() == [0, 0, 1, 0, 0, 1]
    for inputs in cases.values():
        assert {values.dtype for values in inputs.values()} == {np.dtype(np.int64)}
        assert inputs["input_ids"].max() < config.vocab_size
        assert not inputs["input_ids"][inputs["attention_mask"] == 0].any()
    types = np.concatenate([inputs["token_type_ids"].ravel() for inputs in cases.values()])
    assert set(types) == {0, 1}


def test_lengths_have_cases_of_their_own() -> None:
    """An artifact may have a method for each, or a shape: the names say neither."""
    cases = verification_cases(small_model().config, lengths=(8, 16))
    added = {case.name: case.inputs["attention_mask"] for case in cases[-3:]}
    assert list(added) == ["length 8", "length 16", "length 8, no token"]
    assert [int(mask.sum()) for mask in added.values()] == [7, 15, 0]
    assert [mask.shape[1] for mask in added.values()] == [8, 16, 8]


def test_a_failure_says_how_far_the_artifact_came() -> None:
    assert Check("outputs", False, "off", {}).failure == "failed the check 'outputs': off"
    assert Check("write", False, "Too large.", {}).failure == "could not be written: Too large."
    assert Check("runs", False, "No room.", {}).failure == "could not be run: No room."


def test_a_report_without_checks_does_not_pass() -> None:
    good, bad = (Check("name", passed, "", {}, None) for passed in (True, False))
    assert not GateReport(()).passed
    assert GateReport((good, good)).passed
    assert not GateReport((good, bad)).passed
    assert GateReport((good, bad)).failures == (bad,)
    assert GateReport((bad,)).as_dict()["checks"][0]["passed"] is False


@pytest.mark.parametrize(("value", "passes"), [(7.0, True), (np.nan, False)])
def test_rows_without_a_token_may_be_left_to_be_finite(value: float, passes: bool) -> None:
    masks = {"both": np.array([[1, 1], [0, 0]]), "none": np.array([[0, 0]])}
    cases = [Case(name, {"attention_mask": mask}) for name, mask in masks.items()]

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        there = inputs["attention_mask"].any(axis=1, keepdims=True)
        return {"logits": np.where(there, 1.0, value).astype(np.float32)}

    def expected(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"logits": torch.ones(len(inputs["attention_mask"]), 1)}

    for empty_rows, result in ((False, passes), (True, False)):
        check = output_parity(
            "outputs", run, expected, cases, 1e-5, lambda _: None, empty_rows=empty_rows
        )
        assert check.passed == result
