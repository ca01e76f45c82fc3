"""The search chooses on one part of the data, and is judged on another."""

import pytest

from exporter.errors import CheckFailed, UserError
from exporter.manifest import CalibrationRecord
from exporter.search.confirming import STEP_BACK
from exporter.search.examples import examples_of, split
from exporter.search.preparation import calibration_rows
from exporter.search.report import write_report
from tests.exporter.search.mixed_target import MixedTarget, bits_of, four_bits
from tests.exporter.search.search_models import BUDGET, EXAMPLES


def test_the_choice_keeps_the_budget_on_examples_that_had_no_part_in_it(found):
    judged = found.chosen.confirmed
    assert judged.loss <= BUDGET
    assert judged.examples + found.searching == EXAMPLES
    assert judged.examples >= EXAMPLES * 2 / 3


def test_each_part_is_used_for_what_it_is_for(found):
    judging = EXAMPLES - found.searching
    assert judging != found.searching
    searched = [known.searched for known in found.candidates if known.searched]
    confirmed = [known.confirmed for known in found.candidates if known.confirmed]
    assert {judged.examples for judged in searched} == {found.searching}
    assert {judged.examples for judged in confirmed} == {judging}


def test_weights_with_4_bits_are_corrected(found):
    narrow = {name for name, method in found.mix.methods.items() if method == "int4_tensor"}
    assert found.mix.corrected
    assert set(found.mix.corrected) <= {f"{name}.weight" for name in narrow}


def test_the_smallest_is_smaller_than_int8(found, evaluator):
    model = evaluator.checkpoint.model
    assert bits_of(found.mix, model) < bits_of(found.usual.mix, model)
    assert found.chosen.built.bytes < found.usual.built.bytes


def test_the_lines_say_what_was_chosen_and_what_it_loses(found):
    text = "\n".join(found.lines())
    assert "points (95 % interval" in text
    assert "int4_tensor" in text
    assert found.looks == 1
    assert "examples that had no part in the choice; 3 are allowed" in text


def test_no_mix_has_two_names(found):
    uniform = [c.methods for c in found.candidates if not c.name.startswith("mix ")]
    chained = [c.methods for c in found.candidates if c.name.startswith("mix ")]
    assert {"fp32"} in [set(methods.values()) for methods in uniform]
    assert chained
    assert not [methods for methods in chained if methods in uniform]


def test_the_fastest_keeps_the_budget_too(run, found, folder):
    assert found.wish.smallest
    assert run(folder, smallest=False).chosen.confirmed.loss <= BUDGET


def test_artifacts_that_break_the_budget_are_not_chosen_however_good_their_reference(
    run, found, folder
):
    assert found.chosen.searched is None or found.chosen.searched.loss <= BUDGET
    with pytest.raises(CheckFailed, match="Nothing that is quantized was found") as raised:
        run(folder, MixedTarget(spoil=30.0))
    assert "--budget" in raised.value.next_step


def test_a_mix_that_is_refused_is_followed_by_a_safer_one(run, found, tmp_path):
    target = MixedTarget(spoil=30.0, unspoiled=four_bits(found.mix) - 1)
    safer = run(tmp_path, target)
    refused = [c for c in safer.candidates if c.confirmed and c.confirmed.loss > BUDGET]
    assert refused
    assert safer.chosen.confirmed.loss <= BUDGET
    # Refused ones that are no mixes of the chain may have any divergence.
    assert 0 < safer.chosen.divergence <= STEP_BACK * max(c.divergence for c in refused)
    assert safer.looks == len(refused) + 1
    text = "\n".join(safer.lines())
    assert f"had a part in the choice: {safer.looks} artifacts were judged" in text
    assert "had no part" not in text
    report = write_report(safer, tmp_path).read_text()
    assert f"{safer.looks} artifacts were judged to choose one" in report
    assert "had no part" not in report


def test_few_texts_leave_rounding_as_it_is_and_that_is_said(run, evaluator, tmp_path):
    # Those of the examples to judge by would be left out.
    rows = calibration_rows(examples_of(evaluator).take(split(EXAMPLES)[0][:5]))
    record = CalibrationRecord("typical.txt", "0" * 64, 5, seed=7)
    few = run(tmp_path, calibration=rows, texts=record)
    assert not few.mix.corrected
    assert any("at least 8 calibration texts, and there are 5" in line for line in few.lines())
    report = write_report(few, tmp_path).read_text()
    assert "Calibration: 5 texts" in report
    assert "of typical.txt, drawn by the seed 7." in report


def test_too_few_examples_say_how_many_are_needed(run, tmp_path):
    with pytest.raises(UserError, match=r"at least 553 are needed") as raised:
        run(tmp_path, budget=0.005)
    assert "829" in raised.value.next_step


@pytest.mark.parametrize("budget", [0.0, -0.1])
def test_no_budget_is_refused(run, tmp_path, budget):
    with pytest.raises(UserError, match="budget"):
        run(tmp_path, budget=budget)


def test_a_target_without_methods_is_refused(run, tmp_path):
    with pytest.raises(UserError, match="--target onnx"):
        run(tmp_path, MixedTarget(methods=()))
