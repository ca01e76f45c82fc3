"""Calibration texts have no part in judging."""

import numpy as np

from exporter.calibration_texts import CalibrationTexts
from exporter.manifest import CalibrationRecord
from exporter.search.examples import examples_of, split
from exporter.search.texts import texts_for
from tests.exporter.search.search_models import classifier, examples

#: Rows as an evaluator has them: those of different seeds differ.
MODEL = classifier()
SEARCHING, JUDGING = examples(MODEL, 20, seed=1), examples(MODEL, 40, seed=2)
OTHERS = examples(MODEL, 10, seed=3)
RECORD = CalibrationRecord("typical.txt", "0" * 64, 30, seed=7, lengths={"8": 12, "16": 18})


def calibration(*parts):
    """Rows as calibration texts are: [1, T]."""
    return [{name: v[None] for name, v in row.items()} for part in parts for row in part.rows]


def same(found, expected):
    return len(found) == len(expected) and all(
        np.array_equal(row[name], other[name])
        for row, other in zip(found, expected, strict=True)
        for name in other
    )


def test_texts_that_judge_are_left_out_and_counted():
    given = calibration(OTHERS, JUDGING.take(range(20)))
    rows, used = texts_for(given, RECORD, SEARCHING, JUDGING)
    assert same(rows, given[:10])
    assert (used.count, used.own, used.left_out) == (10, False, 20)
    assert used.record.examples == 10
    rest = CalibrationTexts("", "", 0, None, tuple(given[:10]))
    assert used.record.lengths == rest.lengths != RECORD.lengths
    assert used.remark.startswith("20 of the 30 calibration texts are among the examples to judge")
    assert "take their place" not in used.remark
    assert used.as_dict()["left_out"] == 20


def test_where_all_texts_judge_the_search_takes_its_own():
    given = calibration(JUDGING)
    rows, used = texts_for(given, RECORD, SEARCHING, JUDGING)
    assert same(rows, calibration(SEARCHING))
    assert (used.count, used.own, used.left_out, used.record) == (20, True, 40, None)
    assert "40 of the 40 calibration texts" in used.remark
    assert "Texts of the examples to choose by take their place." in used.remark
    assert "without their labels" in used.line


def test_texts_that_do_not_judge_are_all_taken():
    given = calibration(OTHERS, SEARCHING)
    rows, used = texts_for(given, RECORD, SEARCHING, JUDGING)
    assert same(rows, given)
    assert used.record == RECORD
    assert not used.remark


def test_texts_are_told_apart_by_all_that_the_model_reads():
    given = calibration(JUDGING)
    for row in given:
        row["token_type_ids"] = row["token_type_ids"].copy()
        row["token_type_ids"][0, -1] = 1
    assert len(texts_for(given, RECORD, SEARCHING, JUDGING)[0]) == len(given)


def test_a_search_takes_no_texts_that_judge(run, evaluator, tmp_path):
    everything = examples_of(evaluator)
    searching, judging = (everything.take(part) for part in split(len(everything)))
    rows, _ = texts_for(calibration(everything), None, searching, judging)
    assert 0 < len(rows) < len(everything)
    found = run(tmp_path / "given", calibration=calibration(everything))
    assert found.texts.count == len(rows)
    assert found.texts.left_out == len(everything) - len(rows)
    assert found.texts.remark in found.lines()
    # As if those had never been given.
    rest = run(tmp_path / "rest", calibration=rows)
    assert rest.prepared.bounds == found.prepared.bounds
