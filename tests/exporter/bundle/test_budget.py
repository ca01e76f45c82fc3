"""Builds within a budget: what they refuse, and what becomes of what a search finds.

The search itself is tested in its own room; here it is replaced.
"""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exporter.bundle import build
from exporter.cli import main
from exporter.errors import CheckFailed, UserError
from exporter.manifest import read_manifest
from exporter.mixing import Budget
from exporter.quantization.mix import uniform_mix
from exporter.recheck import verify
from exporter.search import report, search

MIXED = "onnx/model_mixed.onnx"


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a search finds: int8 everywhere, and how often it was asked; or an error to raise."""
    state: dict[str, Any] = {"calls": 0, "error": None, "loss": 0.001}

    def choose_mix(checkpoint: Any, *_: Any, **options: Any) -> Any:
        state["calls"] += 1
        state["budget"] = options["budget"]
        if state["error"] is not None:
            raise state["error"]
        model = checkpoint.model
        confirmed = SimpleNamespace(loss=state["loss"], loss_interval=(-0.01, 0.01), examples=70)
        return SimpleNamespace(
            mix=uniform_mix(model.config, model.task, "int8_tensor", "int8"),
            chosen=SimpleNamespace(confirmed=confirmed),
            wish=SimpleNamespace(budget=options["budget"], smallest=options["smallest"]),
            lines=lambda: ("Chosen.",),
        )

    monkeypatch.setattr(search, "choose_mix", choose_mix)
    monkeypatch.setattr(report, "write_report", lambda *_: None)
    monkeypatch.setattr("exporter.search.examples.check_enough", lambda *_: None)
    monkeypatch.setattr("exporter.mixing.check_label_order", lambda *_: None)
    return state


def built(folder: Path, out: Path, data: Path, points: float = 5.0, **options: Any) -> Any:
    return build(str(folder), out, budget=Budget(points), eval_data=data, **options)


def test_what_is_found_is_built_proved_and_recorded(
    checkpoint_folder: Path, labelled: Path, tmp_path: Path, found: dict[str, Any]
) -> None:
    out = tmp_path / "out"
    result = built(checkpoint_folder, out, labelled)
    assert result.built == (MIXED,), result.refused
    record = read_manifest(out).artifact(MIXED)
    assert record is not None
    assert record.choice is not None
    assert record.choice.budget == 0.05
    assert record.choice.goal == "time"
    assert record.choice.methods == {"int8": 2, "int8_tensor": 13}
    assert record.choice.report == "search/onnx/report.md"
    assert verify(out).passed
    # The same again: searched, kept, and the record is that of the last search.
    again = built(checkpoint_folder, out, labelled, points=4)
    assert (again.kept, found["calls"]) == ((MIXED,), 2)
    record = read_manifest(out).artifact(MIXED)
    assert record is not None
    assert record.choice is not None
    assert record.choice.budget == 0.04


def test_where_nothing_keeps_the_budget_the_rest_is_built(
    checkpoint_folder: Path, labelled: Path, tmp_path: Path, found: dict[str, Any]
) -> None:
    found["error"] = CheckFailed("Nothing was found.", "Allow more.")
    result = built(checkpoint_folder, tmp_path / "out", labelled, precisions=("fp32",))
    assert result.built == ("onnx/model.onnx",)
    (check,) = result.refused[MIXED]
    assert "could not be chosen: Nothing was found. Allow more." in check.failure


def test_too_few_examples_leave_a_bundle_as_it_was(
    checkpoint_folder: Path, labelled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build(str(checkpoint_folder), out, precisions=("fp32",))
    before = (out / "manifest.json").read_bytes()
    with pytest.raises(UserError, match="too few"):
        built(checkpoint_folder, out, labelled, points=0.1)
    assert (out / "manifest.json").read_bytes() == before
    assert (out / "onnx/model.onnx").exists()


def test_a_dry_run_searches_nothing(
    checkpoint_folder: Path, labelled: Path, tmp_path: Path, found: dict[str, Any]
) -> None:
    result = built(checkpoint_folder, tmp_path / "out", labelled, dry_run=True)
    assert "search" in result.planned[MIXED]
    assert found["calls"] == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--budget", "0.5"), "no.* is given|none is given"),
        (("--budget", "0", "--eval-data", "DATA"), "0 points"),
        (("--budget", "0.5", "--eval-data", "DATA", "--target", "coreml"), "coreml does not have"),
        (("--precision", "mixed"), "chosen within a budget"),
        (("--smallest",), "--smallest needs a budget"),
        (("--search-minutes", "3"), "--search-minutes needs a budget"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: tuple[str, ...],
    says: str,
    checkpoint_folder: Path,
    labelled: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = [str(labelled) if word == "DATA" else word for word in words]
    assert main(["build", str(checkpoint_folder), str(tmp_path / "out"), *chosen]) == 2
    assert re.search(says, capsys.readouterr().err.replace("\n", " "))
    assert not (tmp_path / "out").exists()
