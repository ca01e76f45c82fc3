"""Proving and measuring a bundle again."""

import shutil

import numpy as np
import pytest
from tiny_checkpoint import write_checkpoint

from exporter.checkpoint import load
from exporter.errors import CheckFailed, UserError
from exporter.recheck import evaluate, verify
from exporter.verification.evaluation import Evaluator


def test_an_untouched_bundle_is_proved(build, tmp_path):
    build()
    result = verify(tmp_path / "out")
    assert result.passed
    assert list(result.reports) == ["shared files", "fake/model.json", "fake/model_int8.json"]
    names = [check.name for check in result.reports["fake/model.json"].checks]
    assert names == ["files", "outputs"]


def test_a_flipped_bit_is_found(build, tmp_path):
    build()
    path = tmp_path / "out" / "fake" / "model.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = verify(tmp_path / "out")
    assert not result.passed
    (failure,) = result.reports["fake/model.json"].failures
    assert failure.name == "files"
    assert "fake/model.npz has another SHA-256" in failure.detail
    assert result.reports["fake/model_int8.json"].passed


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
def test_a_changed_tokenizer_or_config_is_found(name, build, tmp_path):
    build()
    (tmp_path / "out" / name).write_text("{}")
    result = verify(tmp_path / "out")
    assert name in result.reports["shared files"].failures[0].detail


def test_verify_runs_the_gate_and_does_not_trust_the_manifest(build, tmp_path, monkeypatch):
    build()
    monkeypatch.setattr("exporter.recheck.changed_files", lambda *_: ())
    shutil.copy(write_noisy(tmp_path), tmp_path / "out" / "fake" / "model.npz")
    result = verify(tmp_path / "out")
    assert [c.name for c in result.reports["fake/model.json"].failures] == ["outputs"]


def write_noisy(tmp_path):
    """A data file with wrong weights, as an artifact that passed no gate."""
    with np.load(tmp_path / "out" / "fake" / "model.npz") as stored:
        weights = {name: stored[name] + 0.1 for name in stored.files}
    np.savez(tmp_path / "noisy.npz", **weights)
    return tmp_path / "noisy.npz"


def test_an_artifact_that_does_not_run_fails_and_the_others_are_verified(
    build, target, tmp_path, monkeypatch
):
    build()
    real = target.open

    def fail(path, **options):
        if path.name == "model.json":
            raise UserError("Cannot run.", "Rebuild.")
        return real(path, **options)

    monkeypatch.setattr(target, "open", fail)
    result = verify(tmp_path / "out")
    assert [c.name for c in result.reports["fake/model.json"].failures] == ["runs"]
    assert result.reports["fake/model_int8.json"].passed


def test_another_model_is_not_taken_for_the_source(build, tmp_path, checkpoint_folder):
    build()
    other = write_checkpoint(tmp_path / "other", seed=1)
    with pytest.raises(CheckFailed, match="not the model that the bundle was made from"):
        verify(tmp_path / "out", source=str(other))
    moved = checkpoint_folder.rename(tmp_path / "moved")
    with pytest.raises(UserError, match="--source MODEL"):
        verify(tmp_path / "out")
    assert verify(tmp_path / "out", source=str(moved)).passed


def test_evaluate_measures_every_artifact_on_the_same_examples(build, labelled, tmp_path):
    build()
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    result = evaluate(tmp_path / "out", labelled)
    assert result.examples == 60
    assert result.passed
    assert list(result.accuracies) == ["fake/model.json", "fake/model_int8.json"]
    found = result.accuracies["fake/model.json"]
    assert (found.correct, found.reference_accuracy) == (57, 57 / 60)
    assert (found.batch_size, result.accuracies["fake/model_int8.json"].batch_size) == (16, 1)
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before


def test_evaluate_one_artifact_with_a_limit_and_a_batch_size(build, labelled, tmp_path):
    build()
    result = evaluate(
        tmp_path / "out", labelled, limit=7, artifact="fake/model_int8.json", batch_size=4
    )
    (found,) = result.accuracies.values()
    assert (found.examples, found.batch_size) == (7, 4)


def test_evaluate_sees_a_worse_artifact(build, labelled, tmp_path, monkeypatch):
    build()
    shutil.copy(write_noisy(tmp_path), tmp_path / "out" / "fake" / "model_int8.npz")
    with pytest.raises(UserError, match=r"another SHA-256|bytes instead of"):
        evaluate(tmp_path / "out", labelled)
    monkeypatch.setattr("exporter.bundle_folder.changed_files", lambda *_: ())
    result = evaluate(tmp_path / "out", labelled)
    assert not result.passed
    assert result.checks["fake/model.json"].passed
    assert result.accuracies["fake/model_int8.json"].agreement < 0.95


def test_long_examples_are_cut_and_counted(build, tmp_path):
    build()
    data = tmp_path / "long.tsv"
    data.write_text("text\tlabel\n" + "red " * 40 + "\tlow\nred\tlow\n")
    assert evaluate(tmp_path / "out", data).accuracies["fake/model.json"].truncated == 1


def test_unknown_artifacts_and_other_tasks_are_refused(build, labelled, tmp_path):
    build()
    with pytest.raises(UserError, match="has no artifact 'x'"):
        evaluate(tmp_path / "out", labelled, artifact="x")
    headless = write_checkpoint(tmp_path / "headless", task="feature-extraction", labels=None)
    with pytest.raises(UserError, match="not for feature-extraction"):
        Evaluator.open(load(str(headless)), labelled)
