"""The search chooses on one part of the data, and is judged on another."""

import json

import numpy as np
import pytest

from exporter.checkpoint import load
from exporter.errors import CheckFailed, UserError
from exporter.quantization.mix import units
from exporter.search import timing
from exporter.search.commands import sensitivity
from exporter.search.report import write_report
from exporter.search.search import choose_mix
from exporter.verification.evaluation import Evaluator
from tests.exporter.bundle.tiny_checkpoint import LABELS, WORDS, write_checkpoint
from tests.exporter.search.mixed_target import MixedTarget, bits_of

EXAMPLES = 144
BUDGET = 0.03  # 92 examples are the least


@pytest.fixture(scope="module", autouse=True)
def _few_rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "FEWEST_ROUNDS", 2)
        patch.setattr(timing, "MOST_ROUNDS", 2)
        yield


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    checkpoint = load(str(write_checkpoint(folder / "model", layers=1)))
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, generator.integers(2, 9))) for _ in range(EXAMPLES)]

    def write(labels):
        lines = [f"{text}\t{label}" for text, label in zip(texts, labels, strict=True)]
        path = folder / "data.tsv"
        path.write_text("\n".join(["text\tlabel", *lines]))
        return Evaluator.open(checkpoint, path)

    found = write([LABELS[0]] * EXAMPLES).reference_logits.argmax(axis=1)
    return write([LABELS[index] for index in found])


def run(evaluator, folder, target=None, **options):
    options = {"budget": BUDGET, "minutes": 5, "smallest": True, **options}
    return choose_mix(
        evaluator.checkpoint, target or MixedTarget(), evaluator, folder=folder, **options
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where ``found`` has left what it measured, for whoever searches on."""
    return tmp_path_factory.mktemp("found")


@pytest.fixture(scope="module")
def found(evaluator, folder):
    return run(evaluator, folder)


def test_the_choice_keeps_the_budget_on_examples_that_had_no_part_in_it(found):
    judged = found.chosen.confirmed
    assert judged.loss <= BUDGET
    assert judged.examples + found.searching == EXAMPLES
    assert judged.examples >= EXAMPLES * 2 / 3


def test_the_smallest_is_smaller_than_int8(found, evaluator):
    model = evaluator.checkpoint.model
    assert bits_of(found.mix, model) < bits_of(found.usual.mix, model)
    assert found.chosen.built.bytes < found.usual.built.bytes


def test_the_lines_say_what_was_chosen_and_what_it_loses(found):
    text = "\n".join(found.lines())
    assert "points (95 % interval" in text
    assert "int4_tensor" in text
    assert "had no part in the choice" in text


def test_a_second_run_measures_nothing_again(evaluator, found, folder):
    content = (folder / "measured.jsonl").read_text()
    assert run(evaluator, folder).mix.text() == found.mix.text()
    assert (folder / "measured.jsonl").read_text() == content


def test_the_fastest_keeps_the_budget_too(evaluator, found, folder):
    assert found.wish.smallest
    assert run(evaluator, folder, smallest=False).chosen.confirmed.loss <= BUDGET


def test_artifacts_that_break_the_budget_are_not_chosen_however_good_their_reference(
    evaluator, found, folder
):
    assert found.chosen.searched is None or found.chosen.searched.loss <= BUDGET
    with pytest.raises(CheckFailed, match="Nothing that is quantized was found") as raised:
        run(evaluator, folder, MixedTarget(spoil=30.0))
    assert "--budget" in raised.value.next_step


def test_the_report_explains_the_choice(found, tmp_path):
    text = write_report(found, tmp_path).read_text()
    for line in found.lines():
        assert line in text
    for unit in units(found.prepared.networks.model.config, "sequence-classification"):
        assert f"| {unit.name} | {found.chosen.methods[unit.name]} |" in text
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["chosen"] == found.chosen.name
    assert document["mix"]["methods"] == dict(found.mix.methods)
    for picture in ("sensitivity.png", "candidates.png"):
        assert f"]({picture})" in text
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_sensitivity_alone_has_a_report(evaluator, tmp_path, monkeypatch):
    monkeypatch.setattr("exporter.search.commands.find_target", lambda _: MixedTarget())
    monkeypatch.setattr("exporter.search.commands.load", lambda *_, **__: evaluator.checkpoint)
    monkeypatch.setattr(Evaluator, "open", lambda *_: evaluator)
    report = sensitivity("model", tmp_path / "data.tsv", tmp_path / "out", limit=16)
    assert report.examples == report.document()["examples"] == 16
    assert str(report.path) in report.text()
    assert "layers.0.attention.output | int4_tensor" in report.path.read_text()
    assert (report.path.parent / "sensitivity.png").exists()


def test_too_few_examples_say_how_many_are_needed(evaluator, tmp_path):
    with pytest.raises(UserError, match=r"553 are needed") as raised:
        run(evaluator, tmp_path, budget=0.005)
    assert "829" in raised.value.next_step


@pytest.mark.parametrize("budget", [0.0, -0.1])
def test_no_budget_is_refused(evaluator, tmp_path, budget):
    with pytest.raises(UserError, match="budget"):
        run(evaluator, tmp_path, budget=budget)


def test_a_target_without_methods_is_refused(evaluator, tmp_path):
    with pytest.raises(UserError, match="--target onnx"):
        run(evaluator, tmp_path, MixedTarget(methods=()))


def test_without_time_for_a_choice_the_usual_mix_is_judged_and_that_is_said(
    evaluator, folder, found
):
    assert found.chosen.name != found.usual.name
    again = run(evaluator, folder, minutes=1e-9)
    assert again.chosen.name == again.usual.name
    assert again.chosen.confirmed.loss <= BUDGET
    assert any("The time was over" in line for line in again.lines())
