"""Builds within a budget again: by which budget what lies there is judged, and what is left of it.

The search itself is tested in its own room; here it is replaced.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in_search import MIXED, built

from exporter.cli import main
from exporter.errors import CheckFailed, OutOfTime
from exporter.manifest import ArtifactRecord
from exporter.manifest_file import read_manifest
from exporter.quantization.mix import Mix
from exporter.recheck import verify
from exporter.search.candidates import Candidate
from exporter.search.examples import Judgement
from exporter.search.found import Wish, nothing_found
from exporter.verification.accuracy import Accuracy
from exporter.verification.evaluation import Evaluator

Wrong = Callable[[int], list[int]]


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> Wrong:
    """Of how many of the 60 examples the artifact's answer is another than PyTorch's right one.

    Every further measurement is listed.
    """
    measured: list[int] = []

    def with_wrong(count: int) -> list[int]:
        def measure(self: Evaluator, *_: Any, **__: Any) -> Accuracy:
            measured.append(count)
            reference = self.reference_logits
            right = np.flatnonzero(reference.argmax(axis=1) == np.asarray(self.data.labels))
            logits = reference.copy()
            logits[right[:count]] = np.roll(logits[right[:count]], 1, axis=1)
            return self.compare(reference, logits, self.encoded, 1)

        monkeypatch.setattr(Evaluator, "measure", measure)
        return measured

    return with_wrong


def record_of(out: Path) -> ArtifactRecord:
    record = read_manifest(out).artifact(MIXED)
    assert record is not None
    return record


def accuracy_check(record: ArtifactRecord) -> dict[str, Any]:
    (check,) = (c for c in record.verification["checks"] if c["name"] == "accuracy")
    return dict(check)


@pytest.mark.usefixtures("found")
def test_an_artifact_that_is_made_is_judged_by_the_budget(
    checkpoint_folder: Path, labelled: Path, tmp_path: Path, wrong: Wrong
) -> None:
    """It answers a quarter of the examples otherwise, which no precision's own limits allow."""
    wrong(15)
    result = built(checkpoint_folder, tmp_path / "large", labelled, points=50)
    assert result.built == (MIXED,), result.refused
    result = built(checkpoint_folder, tmp_path / "small", labelled, points=5)
    (check,) = result.refused[MIXED]
    assert (check.name, check.tolerance) == ("accuracy", 0.05)
    assert "loses 25.00 points, 5.0 are allowed" in check.detail
    assert not (tmp_path / "small" / MIXED).exists()


@pytest.mark.usefixtures("found")
def test_an_artifact_that_is_kept_is_judged_by_the_budget(
    checkpoint_folder: Path, labelled: Path, tmp_path: Path, wrong: Wrong
) -> None:
    out, other = tmp_path / "out", labelled.with_name("other.tsv")
    other.write_bytes(labelled.read_bytes())
    measured = wrong(15)
    built(checkpoint_folder, out, labelled, points=50)
    result = built(checkpoint_folder, out, other, points=60)
    assert result.kept == (MIXED,), result.refused
    assert accuracy_check(record_of(out))["tolerance"] == 0.6
    result = built(checkpoint_folder, out, labelled, points=5)
    (check,) = result.refused[MIXED]
    assert "loses 25.00 points, 5.0 are allowed" in check.detail
    assert len(measured) == 3
    assert not (out / MIXED).exists()


@pytest.mark.usefixtures("found")
def test_what_was_measured_before_is_judged_by_the_budget_of_now(
    checkpoint_folder: Path, labelled: Path, tmp_path: Path, wrong: Wrong
) -> None:
    out = tmp_path / "out"
    measured = wrong(15)
    built(checkpoint_folder, out, labelled, points=50)
    before = record_of(out)
    result = built(checkpoint_folder, out, labelled, points=60)
    assert result.kept == (MIXED,), result.refused
    after = record_of(out)
    assert after.choice is not None
    assert (after.choice.budget, accuracy_check(after)["tolerance"]) == (0.6, 0.6)
    assert after.accuracy == before.accuracy
    result = built(checkpoint_folder, out, labelled, points=5)
    (check,) = result.refused[MIXED]
    assert "loses 25.00 points, 5.0 are allowed" in check.detail
    assert len(measured) == 1
    assert not (out / MIXED).exists()


@pytest.mark.usefixtures("found")
def test_a_loss_that_may_be_above_the_budget_by_chance_is_said(
    checkpoint_folder: Path,
    labelled: Path,
    tmp_path: Path,
    wrong: Wrong,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong(4)
    out = str(tmp_path / "out")
    words = ["build", str(checkpoint_folder), out, "--eval-data", str(labelled), "--budget"]
    said = "loses 6.67 points"
    assert main([*words, "5"]) == 0
    assert said in capsys.readouterr().err
    assert main([*words, "6"]) == 0  # kept
    assert said in capsys.readouterr().err
    assert main([*words, "7"]) == 0
    assert said not in capsys.readouterr().err


def test_a_search_that_runs_out_of_time_leaves_an_older_artifact(
    checkpoint_folder: Path,
    labelled: Path,
    tmp_path: Path,
    found: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    built(checkpoint_folder, out, labelled)
    before, content = record_of(out), (out / MIXED).read_bytes()
    found["error"] = OutOfTime("The time is over.", "What was measured is kept.")
    result = built(checkpoint_folder, out, labelled, points=4, precisions=("fp32",))
    assert result.built == ("onnx/model.onnx",)
    (check,) = result.refused[MIXED]
    assert "could not be chosen: The time is over. What was measured is kept." in check.failure
    assert (record_of(out), (out / MIXED).read_bytes()) == (before, content)
    assert verify(out).passed
    words = ["build", str(checkpoint_folder), str(out), "--eval-data", str(labelled)]
    assert main([*words, "--budget", "4"]) == 1
    printed = capsys.readouterr()
    assert f"{MIXED}: the artifact of an earlier build stays as it is" in printed.err
    assert f"error: {MIXED} could not be chosen: The time is over." in printed.err
    assert printed.out.count(MIXED) == 1
    assert "as it was" in printed.out
    assert record_of(out) == before


def test_a_search_that_runs_out_of_time_at_first_leaves_nothing(
    checkpoint_folder: Path, labelled: Path, tmp_path: Path, found: dict[str, Any]
) -> None:
    found["error"] = OutOfTime("The time is over.", "What was measured is kept.")
    result = built(checkpoint_folder, tmp_path / "out", labelled, precisions=("fp32",))
    assert (result.built, list(result.refused)) == (("onnx/model.onnx",), [MIXED])
    assert read_manifest(tmp_path / "out").artifact(MIXED) is None


def test_where_nothing_keeps_the_budget_an_older_artifact_goes(
    checkpoint_folder: Path, labelled: Path, tmp_path: Path, found: dict[str, Any]
) -> None:
    out = tmp_path / "out"
    built(checkpoint_folder, out, labelled)
    found["error"] = CheckFailed("Nothing was found.", "Allow more.")
    assert list(built(checkpoint_folder, out, labelled, points=4).refused) == [MIXED]
    assert read_manifest(out).artifact(MIXED) is None
    assert not (out / MIXED).exists()


@pytest.mark.parametrize("over", [True, False])
def test_a_search_without_a_verdict_says_so(over: bool) -> None:
    judged = Judgement(100, 0.02, (0.0, 0.04), 0.02, 0.9, 0.1)
    methods = {"head.pooler": "int8_tensor"}
    known = Candidate("mix 1", methods, Mix(methods), 0.0, 0.0, 0.1, confirmed=judged)
    error = nothing_found([known], Wish(0.005, False, 60.0), over=over)
    assert isinstance(error, OutOfTime) == over
    assert "loses 2.00 points" in error.message
