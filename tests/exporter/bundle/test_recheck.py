"""Proving and measuring a bundle again."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_checkpoint import write_checkpoint

from exporter.errors import CheckFailed, UserError
from exporter.recheck import Verification, verify
from exporter.verification.report import Check, GateReport


def test_an_untouched_bundle_is_proved(build, tmp_path):
    build()
    result = verify(tmp_path / "out")
    assert result.passed
    assert list(result.reports) == ["shared files", "fake/model.json", "fake/model_int8.json"]
    names = [check.name for check in result.reports["fake/model.json"].checks]
    assert names == ["files", "outputs"]
    names = [check.name for check in result.reports["shared files"].checks]
    assert names == ["files", "origin", "manifest"]


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


def change_manifest(bundle, change):
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def rehash(bundle, name, document):
    """Write the hash of the file as it is now into the manifest."""
    content = (bundle / name).read_bytes()
    (record,) = (f for f in document["files"] if f["path"] == name)
    record.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def shared_failures(bundle):
    return {c.name: c.detail for c in verify(bundle).reports["shared files"].failures}


def test_swapped_labels_of_the_config_are_found_though_the_manifest_has_their_hash(build, tmp_path):
    build()
    bundle = tmp_path / "out"
    config = json.loads((bundle / "config.json").read_text())
    labels = config["id2label"]
    labels["0"], labels["1"] = labels["1"], labels["0"]
    (bundle / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    change_manifest(bundle, lambda document: rehash(bundle, "config.json", document))
    assert shared_failures(bundle) == {"origin": "config.json is not the one that the model gives"}


def test_another_tokenizer_is_found_though_the_manifest_has_its_hash(build, tmp_path):
    build()
    bundle = tmp_path / "out"
    text = (bundle / "vocab.txt").read_text()
    (bundle / "vocab.txt").write_text(text.replace("red\ngreen", "green\nred"))
    change_manifest(bundle, lambda document: rehash(bundle, "vocab.txt", document))
    assert list(shared_failures(bundle)) == ["origin"]


def test_swapped_labels_of_the_manifest_are_found(build, tmp_path):
    build()
    change_manifest(tmp_path / "out", lambda document: document["labels"].reverse())
    with pytest.raises(CheckFailed, match="manifest's task or labels are not those of"):
        verify(tmp_path / "out")


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        (("labels",), None, "labels"),
        (("model", "max_length"), 15, "max_length"),
        (("model", "heads"), 2, "heads"),
        (("tokenizer", "hash"), "0" * 64, "tokenizer"),
    ],
)
def test_what_the_manifest_says_of_the_model_is_compared(field, value, named, build, tmp_path):
    build()

    def change(document):
        holder = document if len(field) == 1 else document[field[0]]
        holder[field[-1]] = value

    change_manifest(tmp_path / "out", change)
    assert shared_failures(tmp_path / "out") == {"manifest": f"{named}: not as the model has it"}


@pytest.mark.parametrize(
    ("field", "value"), [("task", "feature-extraction"), ("source_hash", "0" * 64)]
)
def test_another_task_or_source_hash_is_found(field, value, build, tmp_path):
    build()
    change_manifest(tmp_path / "out", lambda document: document["model"].update({field: value}))
    with pytest.raises(CheckFailed, match="manifest"):
        verify(tmp_path / "out")


def test_a_bundle_whose_fp32_was_refused_is_proved_all_the_same(build, target, tmp_path):
    target.wrong["fp32"] = 0.1
    assert build().refused
    assert verify(tmp_path / "out").passed


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


def test_a_stock_export_is_never_called_proved():
    files = GateReport((Check("files", True, "", {}),))
    gated = GateReport((Check("layer parity", True, "", {}),))
    assert not Verification(Path("bundle"), {"shared files": files}).gated
    assert Verification(Path("bundle"), {"shared files": files, "onnx/model.onnx": gated}).gated
