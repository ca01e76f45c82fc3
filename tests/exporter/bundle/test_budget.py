"""Builds within a budget: what they refuse, and what becomes of what a search finds.

The search itself is tested in its own room; here it is replaced.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from stand_in_search import MIXED, built
from tiny_checkpoint import write_checkpoint

from exporter.bundle import build
from exporter.checkpoint import load
from exporter.cli import main
from exporter.errors import CheckFailed, UserError
from exporter.manifest import CalibrationRecord
from exporter.manifest_file import read_manifest
from exporter.mixing import Budget, choose_mixes
from exporter.model.config import SourceModel
from exporter.progress import SilentProgress
from exporter.quantization.mix import Mix, uniform_mix
from exporter.quantization.schemes.mixed import rounded_weights
from exporter.recheck import verify
from exporter.targets.base import find_target
from exporter.targets.onnx import TARGET
from exporter.verification.evaluation import Evaluator

#: Of a linear layer of a model whose layers have no groups.
WEIGHT = "layers.0.attention.output.weight"


def corrected_mix(model: SourceModel) -> Mix:
    """int4 layers; every 16th level of ``WEIGHT`` is another than plain rounding's."""
    plain = uniform_mix(model.config, model.task, "int4_tensor", "int8", "int8_tensor")
    stored = TARGET.stored_model(replace(model, mix=plain), "mixed")
    form = rounded_weights(stored)[WEIGHT]
    some = np.arange(form.levels.shape[1]) % 16 == 0
    levels = form.levels - np.sign(form.levels) * some
    return replace(plain, corrected={WEIGHT: replace(form, levels=levels.astype(np.int8))})


def test_what_is_found_is_built_proved_and_recorded(
    checkpoint_folder: Path, labelled: Path, tmp_path: Path, found: dict[str, Any]
) -> None:
    out = tmp_path / "out"
    found["looks"] = 2
    result = built(checkpoint_folder, out, labelled)
    assert result.built == (MIXED,), result.refused
    record = read_manifest(out).artifact(MIXED)
    assert record is not None
    assert record.choice is not None
    assert record.choice.budget == 0.05
    assert record.choice.goal == "time"
    assert record.choice.looks == 2
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


def move_a_level(path: Path) -> None:
    """One corrected level becomes its neighbour."""
    model = onnx.load(path)
    tensor = next(t for t in model.graph.initializer if t.name == f"{WEIGHT}/int4")
    levels = bytearray(tensor.raw_data)
    place = next(i for i, pair in enumerate(levels) if pair & 15 in (2, 4))
    levels[place] ^= 1
    tensor.raw_data = bytes(levels)
    onnx.save(model, path)


def change_record(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Of the mixed artifact; the hashes of its file are made anew."""
    document = json.loads((bundle / "manifest.json").read_text())
    (record,) = (a for a in document["artifacts"] if a["path"] == MIXED)
    change(record)
    sha256 = hashlib.sha256((bundle / MIXED).read_bytes()).hexdigest()
    record["sha256"] = sha256
    record["files"][0].update(bytes=(bundle / MIXED).stat().st_size, sha256=sha256)
    (bundle / "manifest.json").write_text(json.dumps(document))


def test_a_corrected_level_is_not_another_than_was_chosen(
    labelled: Path, tmp_path: Path, found: dict[str, Any]
) -> None:
    """Also where whoever changed it wrote the file's hashes anew: no other check sees it."""
    out = tmp_path / "out"
    found["mix"] = corrected_mix
    source = write_checkpoint(tmp_path / "bert", family="bert")
    result = built(source, out, labelled, points=90)
    assert result.built == (MIXED,), result.refused
    assert verify(out).passed
    move_a_level(out / MIXED)
    change_record(out, lambda _: None)
    (failure,) = verify(out).reports[MIXED].failures
    assert failure.name == "mix"
    assert "a corrected level is another than was chosen" in failure.detail
    change_record(out, lambda record: record["choice"].pop("mix_sha256"))
    (failure,) = verify(out).reports[MIXED].failures
    assert "does not have the hash" in failure.detail


def test_a_task_without_accuracy_has_a_way_out(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_checkpoint(tmp_path / "tags", task="token-classification")
    out = str(tmp_path / "out")
    words = ["build", str(source), out, "--budget", "5", "--eval-data", str(labelled)]
    assert main(words) == 2
    assert "without --eval-data and --budget" in capsys.readouterr().err.replace("\n", " ")
    assert main([*words[:3], "--precision", "int8"]) == 0


def test_the_search_is_told_of_which_file_its_texts_are(
    checkpoint_folder: Path, labelled: Path, tmp_path: Path, found: dict[str, Any]
) -> None:
    checkpoint, target = load(str(checkpoint_folder)), find_target("onnx")
    evaluator = Evaluator.open(checkpoint, labelled)
    (spec,) = target.artifacts(("mixed",), ("optimized",))
    texts = CalibrationRecord("typical.txt", "0" * 64, 128, seed=7)
    options = (evaluator, Budget(5), tmp_path, SilentProgress(), texts)
    chosen, failed = choose_mixes(checkpoint, [(spec, target)], *options)
    assert (found["texts"], list(chosen), failed) == (texts, ["onnx"], {})


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
