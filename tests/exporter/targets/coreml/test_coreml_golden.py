"""Golden files: what they hold, how large they get, and what their tolerances tell apart."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from replayed import write_replay
from small_models import LABELS, small_model

from exporter.errors import UserError
from exporter.model.config import SourceModel, Task
from exporter.targets.base import INPUTS, OUTPUTS
from exporter.targets.coreml import TARGET
from exporter.targets.coreml.replay import golden_cases, golden_path, write_golden
from exporter.targets.coreml.replay.predict_on_mac import compare

pytestmark = pytest.mark.usefixtures("quick")


def golden_of(package: Path) -> Any:
    return json.loads(golden_path(package).read_text())


def test_it_says_what_the_package_is(tmp_path: Path) -> None:
    package = write_replay(small_model(layers=1), tmp_path, "fp16", "optimized")
    golden = golden_of(package)
    assert golden["package"] == "model_fp16.mlpackage"
    assert (golden["precision"], golden["flavour"]) == ("fp16", "optimized")
    assert golden["minimum_macos"] == 15  # several inputs with enumerated shapes
    assert golden["labels"] == list(LABELS)
    assert golden["predicted"] == ["classLabel", "classLabel_probs"]
    assert [entry["path"] for entry in golden["files"]] == [
        "Data/com.apple.CoreML/model.mlmodel",
        "Data/com.apple.CoreML/weights/weight.bin",
        "Manifest.json",
    ]
    case = golden["cases"][0]
    assert case["name"] == "32 tokens"
    inputs = {name: np.array([case["inputs"][name]]) for name in INPUTS}
    logits = TARGET.open(package).run(inputs)["logits"]
    assert case["outputs"]["logits"]["shape"] == [1, 3]
    stored = np.array(case["outputs"]["logits"]["values"], np.float32)
    np.testing.assert_array_equal(stored, logits[0])
    assert case["label"] == LABELS[int(logits.argmax())]


def test_a_package_of_ios_17_asks_for_less(tmp_path: Path) -> None:
    package = write_replay(small_model(layers=1), tmp_path, "fp32", "fixed_logits")
    golden = golden_of(package)
    assert golden["minimum_macos"] == 14
    assert golden["labels"] == []


def test_the_same_package_gives_the_same_file(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        package = write_replay(small_model(layers=1), folder, "fp16", "optimized")
        texts.append(golden_path(package).read_text())
    assert texts[0] == texts[1]


@pytest.mark.parametrize("task", list(OUTPUTS))
def test_every_task_stays_small(task: Task, tmp_path: Path) -> None:
    vocabulary = 3000 if task == "masked-lm" else 60
    model = small_model(task=task, layers=1, vocab_size=vocabulary, max_positions=600)
    package = write_replay(model, tmp_path, "fp16", "optimized")
    assert golden_path(package).stat().st_size < 200_000
    golden = golden_of(package)
    longest = next(case for case in golden["cases"] if case["name"] == "512 tokens")
    assert list(longest["outputs"]) == list(OUTPUTS[task])
    inputs = {name: np.array([longest["inputs"][name]]) for name in INPUTS}
    outputs = TARGET.open(package).run(inputs)
    for name, kept in longest["outputs"].items():
        positions = kept["positions"] or slice(None)
        assert bool(kept["positions"]) == (outputs[name].size > len(kept["values"]))
        values = np.array(kept["values"], np.float32)
        np.testing.assert_array_equal(values, outputs[name].ravel()[positions])
    predicted = [outputs_of(package, case) for case in golden["cases"]]
    errors, problems = compare({**golden, "labels": []}, predicted)
    assert problems == []
    assert set(errors.values()) == {0.0}


def outputs_of(package: Path, case: Any) -> Any:
    inputs = {name: np.array([case["inputs"][name]]) for name in INPUTS}
    return TARGET.open(package).run(inputs)


def test_cases_cover_lengths_padding_and_gaps() -> None:
    config = small_model().config
    cases = golden_cases(config, (16, 32))
    assert list(cases) == ["16 tokens", "32 tokens", "padded", "no token", "gaps"]
    assert all(v.dtype == np.int64 for inputs in cases.values() for v in inputs.values())
    assert [inputs["input_ids"].shape for inputs in cases.values()] == [
        *((1, 16), (1, 32), (1, 16), (1, 16), (1, 16)),
    ]
    masks = {name: inputs["attention_mask"][0].tolist() for name, inputs in cases.items()}
    assert masks["padded"] == [1] * 9 + [0] * 7
    assert masks["gaps"][:4] == [1, 0, 1, 1]
    for inputs in cases.values():
        assert (inputs["input_ids"][inputs["attention_mask"] == 0] == config.pad_token_id).all()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_replay(small_model(layers=1), tmp_path_factory.mktemp("one"), "fp16", "optimized")


def test_what_cannot_be_golden_is_refused(package: Path, tmp_path: Path) -> None:
    path, run = tmp_path / "x.golden.json", TARGET.open(package).run
    config = small_model().config
    with pytest.raises(ValueError, match="17 tokens: input_ids takes"):
        write_golden(package, golden_cases(config, (17,)), run, path)
    cases = golden_cases(config, (32,))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_golden(package, cases, lambda _: {"logits": np.full((1, 3), np.nan)}, path)
    many = {str(index): cases["32 tokens"] for index in range(1500)}
    with pytest.raises(ValueError, match="1500 cases do not fit"):
        write_golden(package, many, lambda _: {"logits": np.zeros((1, 3))}, path)
    with pytest.raises(UserError, match="is no Core ML package"):
        write_golden(tmp_path, cases, run, path)
    assert not list(tmp_path.iterdir())


def test_a_package_that_does_not_name_its_precision_is_refused(tmp_path: Path) -> None:
    model = small_model(layers=1)
    (spec,) = TARGET.artifacts(("fp16",), ("optimized",))
    package = tmp_path / "model.mlpackage"
    TARGET.write(model, spec, package, {})
    cases = golden_cases(model.config, (32,))
    with pytest.raises(UserError, match="does not say what it is"):
        write_golden(package, cases, TARGET.open(package).run, tmp_path / "x.golden.json")


def swapped(model: SourceModel) -> SourceModel:
    """Queries and keys of the first layer exchanged."""
    name = "layers.0.attention.{}.{}"
    pairs = [
        (name.format(*parts), name.format(*others))
        for part in ("weight", "bias")
        for parts, others in (
            (("query", part), ("key", part)),
            (("key", part), ("query", part)),
        )
    ]
    weights = {**model.weights, **{one: model.weights[other] for one, other in pairs}}
    return replace(model, weights=weights)


def without_a_bias(model: SourceModel) -> SourceModel:
    name = "layers.0.feed_forward.output.bias"
    weights = {**model.weights, name: model.weights[name] * 0}
    return replace(model, weights=weights)


def other_heads(model: SourceModel) -> SourceModel:
    return replace(model, config=replace(model.config, heads=2))


def unmasked(inputs: Any) -> Any:
    return {**inputs, "attention_mask": np.ones_like(inputs["attention_mask"])}


@pytest.mark.parametrize("change", [swapped, without_a_bias, other_heads])
def test_a_device_that_computes_something_else_is_beyond_the_tolerance(
    change: Callable[[SourceModel], SourceModel], package: Path, tmp_path: Path
) -> None:
    """What a wrong device would return: the outputs of a package with the fault in it."""
    golden = golden_of(package)
    other = write_replay(change(small_model(layers=1)), tmp_path, "fp16", "optimized")
    cases = golden["cases"]
    errors, problems = compare({**golden, "labels": []}, [outputs_of(other, c) for c in cases])
    assert problems
    assert max(errors.values()) > 2 * golden["tolerance"]["relative"]


def test_an_ignored_mask_is_beyond_the_tolerance(package: Path) -> None:
    golden = golden_of(package)
    session = TARGET.open(package)
    outputs = [
        session.run(unmasked({name: np.array([case["inputs"][name]]) for name in INPUTS}))
        for case in golden["cases"]
    ]
    _, problems = compare({**golden, "labels": []}, outputs)
    assert [line.partition(":")[0] for line in problems] == ["padded", "no token", "gaps"]
