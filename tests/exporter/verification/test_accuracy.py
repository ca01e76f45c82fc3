"""Comparing label probabilities, and the verdict on them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from exporter.errors import CheckFailed
from exporter.verification.accuracy import (
    DEFAULT_AGREEMENT_LIMIT,
    LOSS_LIMIT,
    Accuracy,
    check_accuracy,
    compare,
    kullback_leibler,
)
from exporter.verification.classification import Encoded, classify
from exporter.verification.labelled_data import LabelledData
from exporter.verification.paired_statistics import examples_needed, paired_difference_interval


def data_with(labels):
    texts = tuple("t" for _ in labels)
    return LabelledData("data.tsv", "0" * 64, texts, None, tuple(labels))


def one_hot(answers, labels=3):
    return np.eye(labels, dtype=np.float32)[list(answers)] * 4


def test_counts_are_those_of_a_small_example():
    labels = [0, 0, 0, 1, 1, 2, 2, 2]
    reference = one_hot([0, 0, 0, 1, 1, 2, 2, 0])  # 7 right
    artifact = one_hot([0, 0, 1, 1, 2, 2, 2, 2])  # 6 right: loses two, wins one
    found = compare(reference, artifact, data_with(labels))
    assert (found.examples, found.correct) == (8, 6)
    assert found.accuracy == 6 / 8
    assert found.reference_accuracy == 7 / 8
    assert (found.only_reference, found.only_artifact) == (2, 1)
    assert found.loss == pytest.approx(1 / 8)
    assert found.loss_interval == paired_difference_interval(2, 1, 8)
    assert found.agreement == 5 / 8
    assert found.majority == 3 / 8
    assert found.interval[0] < 0.75 < found.interval[1]


def test_figures_of_every_class_are_those_of_a_small_example():
    labels = [0, 0, 0, 1, 1, 2, 2, 2]
    reference = one_hot([0, 0, 0, 1, 1, 2, 2, 0], labels=5)
    artifact = one_hot([0, 0, 1, 1, 2, 2, 2, 3], labels=5)
    found = compare(reference, artifact, data_with(labels), label_names="abcde")
    a, b, c, never_true, never_at_all = found.classes
    assert (a.label, a.support, a.predicted, a.correct) == ("a", 3, 2, 2)
    assert (a.precision, a.recall, a.f1) == (1.0, 2 / 3, pytest.approx(0.8))
    assert (b.precision, b.recall, b.f1, b.reference_recall) == (0.5, 0.5, 0.5, 1.0)
    assert (c.precision, c.recall, c.reference_recall) == (2 / 3, 2 / 3, 2 / 3)
    assert (never_true.support, never_true.precision, never_true.f1) == (0, 0.0, 0.0)
    assert (never_true.recall, never_true.reference_recall) == (None, None)
    assert (never_at_all.precision, never_at_all.recall, never_at_all.f1) == (None, None, None)
    assert found.macro_f1 == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)  # of the labels with examples
    assert sum(figures.correct for figures in found.classes) == found.correct
    json.dumps(found.as_dict(), allow_nan=False)


def test_without_names_there_are_no_classes():
    found = compare(one_hot([0]), one_hot([0]), data_with([0]))
    assert (found.classes, found.macro_f1) == ((), None)


def test_divergence_is_that_of_the_probabilities():
    reference, artifact = np.log([[0.5, 0.25, 0.25]]), np.log([[0.25, 0.25, 0.5]])
    expected = 0.5 * np.log(2) + 0.25 * np.log(0.5)
    assert kullback_leibler(reference, artifact) == pytest.approx([expected])
    # Adding a constant to all logits of a row changes no probability.
    assert kullback_leibler(reference, reference + 5) == pytest.approx([0.0], abs=1e-12)


def test_classify_keeps_the_order_and_pads_what_it_batches():
    rows = tuple(
        {
            "input_ids": np.full(length, length, dtype=np.int64),
            "attention_mask": np.ones(length, dtype=np.int64),
        }
        for length in (5, 1, 3, 2, 4)
    )
    batches = []

    def run(inputs):
        batches.append(inputs["input_ids"].shape)
        return inputs["attention_mask"].sum(axis=1, keepdims=True).astype(np.float32)

    messages = []
    logits = classify(run, Encoded(rows, 0), batch_size=2, progress=messages.append)
    assert logits[:, 0].tolist() == [5, 1, 3, 2, 4]
    assert batches == [(2, 2), (2, 4), (1, 5)]
    assert messages[-1] == "5/5 examples"


def test_values_that_are_not_finite_fail_the_check():
    rows = ({"input_ids": np.ones(2, dtype=np.int64)},)
    with pytest.raises(CheckFailed, match="not finite"):
        classify(lambda _: np.array([[np.nan, 1]]), Encoded(rows, 0), batch_size=1)


def measured(examples, lost=0, won=0, both_wrong_differently=0, right=0.9):
    """The Accuracy of an artifact with these discordant counts."""
    labels = np.zeros(examples, dtype=int)
    reference = np.zeros(examples, dtype=int)
    reference[: int(examples * (1 - right))] = 1
    artifact = reference.copy()
    wrong = np.flatnonzero(reference == 1)
    artifact[wrong[:won]] = 0
    artifact[wrong[won : won + both_wrong_differently]] = 2
    artifact[np.flatnonzero(reference == 0)[:lost]] = 2
    return compare(one_hot(reference), one_hot(artifact), data_with(labels.tolist()))


def test_an_equal_artifact_passes_at_every_precision():
    for precision in ("fp32", "fp16", "int8"):
        assert check_accuracy(measured(200), precision).passed


def test_sound_int8_passes():
    # As measured on trained checkpoints: 0.2 points lost of 2000 examples, 99.1 % agreement.
    found = measured(2000, lost=8, won=4, both_wrong_differently=6)
    assert found.agreement == 0.991
    check = check_accuracy(found, "int8")
    assert check.passed
    assert check.measured["loss"] == pytest.approx(0.002)


def test_int8_that_loses_a_point_is_refused():
    check = check_accuracy(measured(4500, lost=50, won=5), "int8")
    assert not check.passed
    assert "loses 1.00 points, 0.5 are allowed" in check.detail
    assert "disagrees" not in check.detail


def test_a_loss_within_chance_is_not_refused():
    found = measured(100, lost=1)
    assert found.loss > LOSS_LIMIT
    assert check_accuracy(found, "int8").passed


@pytest.mark.parametrize(("examples", "few"), [(60, True), (550, True), (555, False)])
def test_too_few_examples_to_tell_a_loss_are_called_too_few(examples, few):
    check = check_accuracy(measured(examples), "int8")
    assert check.passed
    assert ("too few examples to tell a loss of 0.5 points" in check.detail) == few


def test_too_few_examples_say_how_many_are_needed():
    assert "(about 553 are needed)" in check_accuracy(measured(60), "int8").detail
    # Half of a point, where 3 % are answered differently: as the interval there says.
    found = measured(1000, lost=15, won=15)
    assert (
        f"(about {examples_needed(0.005, 0.03)} are needed)" in check_accuracy(found, "int8").detail
    )


def test_a_budget_replaces_the_limits():
    found = measured(4500, lost=50, won=5)  # one point
    assert not check_accuracy(found, "mixed").passed
    assert check_accuracy(found, "mixed", budget=0.0125).passed
    refused = check_accuracy(found, "mixed", budget=0.0025)
    assert not refused.passed
    assert "loses 1.00 points, 0.25 are allowed" in refused.detail
    assert "chance" not in refused.detail
    assert refused.tolerance == 0.0025
    # The agreement is not judged: what may be lost was chosen.
    differing = measured(4500, lost=200, won=200)
    assert not check_accuracy(differing, "mixed").passed
    assert check_accuracy(differing, "mixed", budget=0.005).passed
    assert not check_accuracy(measured(4500, lost=40), "mixed", budget=0.0).passed
    assert "too few" not in check_accuracy(measured(60), "mixed", budget=0.0).detail


def test_a_loss_above_the_budget_is_refused_beyond_chance():
    """A search that used up its budget may lie a little above it on other examples."""
    found = measured(4500, lost=50, won=5)
    low, high = found.loss_interval
    assert not check_accuracy(found, "mixed", budget=low - 1e-4).passed
    passed = check_accuracy(found, "mixed", budget=round(low + 1e-4, 4))
    assert passed.passed
    assert (
        f"loses 1.00 points (95 % interval {low * 100:.2f} to {high * 100:.2f}), 0.68 are allowed: "
        "that it is more may be chance"
    ) in passed.detail
    few = check_accuracy(measured(5000, lost=230, won=190), "mixed", budget=0.005)
    assert few.passed
    assert "loses 0.80 points (95 % interval -0.00 to 1.60), 0.5 are allowed: that it" in few.detail
    assert "; too few examples to tell a loss of 0.5 points" in few.detail
    # Within the budget there is nothing to say, and without one the limits are those of before.
    assert "chance" not in check_accuracy(found, "mixed", budget=0.01).detail
    assert not check_accuracy(measured(4500, lost=30, won=5), "int8").passed


def test_what_a_manifest_has_is_read_back():
    found = compare(one_hot([0, 1]), one_hot([0, 2]), data_with([0, 1]), label_names="abc")
    document = json.loads(json.dumps({"data": "x.tsv", **found.as_dict()}))
    document["classes"][0]["newer"] = 1
    assert Accuracy.from_dict(document) == found
    for newer in ("skipped", "macro_f1", "classes"):
        del document[newer]
    assert Accuracy.from_dict(document) == replace(found, macro_f1=None, classes=())


def test_a_loss_that_was_told_needs_no_more_examples():
    check = check_accuracy(measured(100, lost=9), "int8")
    assert "loses 9.00 points" in check.detail
    assert "too few" not in check.detail


def test_a_large_loss_on_few_examples_is_refused():
    assert not check_accuracy(measured(100, lost=9), "int8").passed


def test_damage_that_costs_no_accuracy_shows_in_the_agreement():
    # As per-tensor int8 on the model with outliers: 95.1 % agreement.
    check = check_accuracy(measured(2000, lost=25, won=25, both_wrong_differently=48), "int8")
    assert not check.passed
    assert "disagrees on 98 examples" in check.detail
    assert "loses" not in check.detail


def test_int8_agreement_has_a_limit_that_the_examples_can_prove():
    few, many = measured(100, lost=2, won=2), measured(4500, lost=73, won=73)
    assert few.agreement < DEFAULT_AGREEMENT_LIMIT < 1
    assert check_accuracy(few, "int8").passed
    assert many.agreement < DEFAULT_AGREEMENT_LIMIT
    assert check_accuracy(many, "int8").passed  # 96.8 %: the interval reaches the limit
    assert not check_accuracy(measured(4500, lost=90, won=90), "int8").passed


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_fp32_and_fp16_may_only_differ_in_near_ties(precision):
    assert check_accuracy(measured(300, lost=1), precision).passed
    assert not check_accuracy(measured(300, lost=1, won=1), precision).passed
    assert check_accuracy(measured(4000, lost=2, won=2), precision).passed
    assert not check_accuracy(measured(4000, lost=3, won=2), precision).passed


def test_an_unknown_precision_is_judged_like_int8():
    found = measured(2000, lost=25, won=25, both_wrong_differently=48)
    assert check_accuracy(found, "int7").passed == check_accuracy(found, "int8").passed


@pytest.mark.parametrize("precision", ["int4", "palettized4", "w8a8"])
def test_few_levels_may_cost_more_and_not_everything(precision):
    # As measured on the model with outliers: 95 % agreement, 1 point lost of 2,000.
    lossy = measured(2000, lost=40, won=20, both_wrong_differently=32)
    assert not check_accuracy(lossy, "int8").passed
    assert check_accuracy(lossy, precision).passed
    assert "1.5 are allowed" in check_accuracy(measured(4500, lost=90, won=5), precision).detail
    # As per-channel int4 there: 92.5 % on all of its 9,824 examples.
    assert not check_accuracy(measured(9824, lost=370, won=367), precision).passed


def test_the_record_says_how_it_was_measured():
    found = replace(measured(100), truncated=3, batch_size=16).as_dict()
    assert found["truncated"] == 3
    assert found["batch_size"] == 16
