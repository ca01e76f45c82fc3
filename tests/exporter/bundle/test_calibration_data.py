"""Texts that static ranges of activations are taken from: asked for, recorded, and asked again."""

import dataclasses
import json
import sys
from types import ModuleType

import numpy as np
import pytest
from fake_target import FakeTarget
from tiny_checkpoint import write_checkpoint

from exporter.calibration import calibrated
from exporter.checkpoint import load
from exporter.cli import main
from exporter.errors import UserError
from exporter.manifest_file import read_manifest, write_manifest
from exporter.recheck import verify
from exporter.targets.base import ArtifactSpec

STATIC = ("int8",)


class StaticTarget(FakeTarget):
    """Its int8 has static ranges."""

    def scheme(self, precision):
        return "w8a8" if precision in STATIC else precision


@pytest.fixture
def target(target, monkeypatch):
    target = StaticTarget()
    module = ModuleType("exporter.targets.fake")
    module.TARGET = target
    monkeypatch.setitem(sys.modules, "exporter.targets.fake", module)
    return target


@pytest.fixture
def texts_file(tmp_path):
    path = tmp_path / "texts.tsv"
    path.write_text("text\nred cat\nblue dog runs\nred\n")
    return path


def test_artifacts_that_need_texts_ask_for_them(build):
    with pytest.raises(UserError, match=r"int8 takes the ranges.*--calibration-data"):
        build()
    assert build(precisions=("fp32",)).built == ("fake/model.json",)


def test_texts_that_nothing_needs_are_refused(build, texts_file):
    with pytest.raises(UserError, match="Nothing that is asked for takes calibration data"):
        build(precisions=("fp32",), calibration_data=texts_file)


def test_the_model_is_written_with_the_texts(build, texts_file, target):
    build(calibration_data=texts_file, calibration_limit=2)
    found = next(m for m in target.models.values() if m.calibration).calibration
    assert [len(text["input_ids"][0]) for text in found] == [3, 4]  # drawn, not the first
    assert all(array.dtype == np.int64 and array.ndim == 2 for t in found for array in t.values())


def test_the_manifest_records_them_for_the_artifacts_that_took_them(build, texts_file, tmp_path):
    build(calibration_data=texts_file, calibration_limit=2)
    plain, static = read_manifest(tmp_path / "out").artifacts
    assert plain.calibration is None
    assert static.calibration is not None
    assert (static.calibration.data, static.calibration.examples) == ("texts.tsv", 2)
    assert (static.calibration.seed, static.calibration.lengths) == (0, {"8": 2})


def test_other_texts_are_a_reason_to_build_again(build, texts_file):
    build(calibration_data=texts_file)
    assert build(calibration_data=texts_file).built == ()
    assert build(calibration_data=texts_file, calibration_limit=2).built == (
        "fake/model_int8.json",
    )


def test_missing_texts_are_refused_before_the_model_is_loaded(build, monkeypatch):
    monkeypatch.delattr("exporter.bundle.load")
    with pytest.raises(UserError, match=r"int8 takes the ranges.*--calibration-data"):
        build()


def test_texts_that_do_not_fit_the_model_are_refused(build, texts_file, tmp_path):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("text\ttext_pair\nred cat\tblue dog\n")
    asks = write_checkpoint(tmp_path / "asks", task="question-answering", labels=None)
    single = write_checkpoint(tmp_path / "single", token_types=1)
    for dry_run in (True, False):
        with pytest.raises(UserError, match=r"texts\.tsv has single texts.*text_pair"):
            build(model=str(asks), calibration_data=texts_file, dry_run=dry_run)
        with pytest.raises(UserError, match=r"pairs\.tsv has pairs.*column text alone"):
            build(model=str(single), calibration_data=pairs, dry_run=dry_run)
    assert not (tmp_path / "out").exists()
    assert build(model=str(asks), calibration_data=pairs, dry_run=True).planned
    assert build(model=str(single), calibration_data=texts_file, dry_run=True).planned


def test_without_the_texts_all_else_is_proved(build, texts_file, tmp_path, capsys):
    build(calibration_data=texts_file, calibration_limit=2)
    found = verify(tmp_path / "out")
    assert list(found.not_checked) == ["fake/model_int8.json"]
    assert (found.passed, found.failed) == (False, False)
    names = {path: [c.name for c in report.checks] for path, report in found.reports.items()}
    assert names["fake/model.json"] == ["files", "outputs"]
    assert names["fake/model_int8.json"] == ["files"]
    assert main(["verify", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert "NOT CHECKED  The ranges of its activations were taken from texts.tsv" in captured.out
    assert "not all was proved" in captured.out
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: fake/model_int8.json was not proved.")
    assert main(["verify", str(tmp_path / "out"), "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["passed"], list(document["not_checked"])) == (False, list(found.not_checked))


def test_a_failed_proof_counts_more_than_missing_texts(build, texts_file, tmp_path):
    build(calibration_data=texts_file)
    (tmp_path / "out" / "fake" / "model.npz").write_bytes(b"x")
    assert main(["verify", str(tmp_path / "out")]) == 1


def test_other_texts_are_refused_before_anything_is_proved(
    build, texts_file, tmp_path, monkeypatch
):
    build(calibration_data=texts_file, calibration_limit=2)
    monkeypatch.delattr("exporter.recheck.load")
    other = tmp_path / "other.tsv"
    other.write_text("text\nblue\n")
    with pytest.raises(UserError, match=r"took.*texts\.tsv, and .*other\.tsv is another file"):
        verify(tmp_path / "out", calibration_data=other)
    assert main(["verify", str(tmp_path / "out"), "--calibration-data", str(other)]) == 2


def test_verify_proves_with_the_same_texts(build, texts_file, tmp_path, monkeypatch):
    build(calibration_data=texts_file, calibration_limit=2)
    seen = []

    def prove(target, spec, path, model, **options):
        seen.append(len(model.calibration))
        return original(target, spec, path, model, **options)

    original = sys.modules["exporter.recheck"].prove
    monkeypatch.setattr("exporter.recheck.prove", prove)
    assert verify(tmp_path / "out", calibration_data=texts_file).passed
    assert seen == [0, 2]


def test_texts_of_a_bundle_without_a_seed_are_the_first(build, texts_file, tmp_path, monkeypatch):
    build(calibration_data=texts_file, calibration_limit=2)
    manifest = read_manifest(tmp_path / "out")
    old = manifest.artifacts[1]
    record = dataclasses.replace(old.calibration, seed=None, lengths={})
    write_manifest(
        tmp_path / "out", manifest.with_artifact(dataclasses.replace(old, calibration=record))
    )
    seen = []

    def prove(target, spec, path, model, **options):
        seen.append([len(text["input_ids"][0]) for text in model.calibration])
        return original(target, spec, path, model, **options)

    original = sys.modules["exporter.recheck"].prove
    monkeypatch.setattr("exporter.recheck.prove", prove)
    assert verify(tmp_path / "out", calibration_data=texts_file).passed
    assert seen == [[], [4, 5]]


def test_the_longest_texts_are_cut_to_the_model(checkpoint_folder, tmp_path, target):
    path = tmp_path / "long.tsv"
    path.write_text("text\n" + "red " * 50 + "\n")
    checkpoint = load(str(checkpoint_folder))
    specs = [(ArtifactSpec("fake", "int8", "optimized", "fake/model_int8.json"), target)]
    found, record = calibrated(checkpoint, specs, path, 5)
    assert found.model.calibration[0]["input_ids"].shape == (1, checkpoint.max_length)
    assert record is not None
    assert record.examples == 1
    assert dataclasses.replace(found, model=checkpoint.model) == checkpoint
