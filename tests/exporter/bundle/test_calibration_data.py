"""Texts that static ranges of activations are taken from: asked for, recorded, and asked again."""

import dataclasses
import sys
from types import ModuleType

import numpy as np
import pytest
from fake_target import FakeTarget

from exporter.calibration import calibrated
from exporter.checkpoint import load
from exporter.errors import UserError
from exporter.manifest import read_manifest
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
    assert [len(text["input_ids"][0]) for text in found] == [4, 5]
    assert all(array.dtype == np.int64 and array.ndim == 2 for t in found for array in t.values())


def test_the_manifest_records_them_for_the_artifacts_that_took_them(build, texts_file, tmp_path):
    build(calibration_data=texts_file, calibration_limit=2)
    plain, static = read_manifest(tmp_path / "out").artifacts
    assert plain.calibration is None
    assert static.calibration is not None
    assert (static.calibration.data, static.calibration.examples) == ("texts.tsv", 2)


def test_other_texts_are_a_reason_to_build_again(build, texts_file):
    build(calibration_data=texts_file)
    assert build(calibration_data=texts_file).built == ()
    assert build(calibration_data=texts_file, calibration_limit=2).built == (
        "fake/model_int8.json",
    )


def test_verify_asks_for_the_same_texts(build, texts_file, tmp_path, monkeypatch):
    build(calibration_data=texts_file, calibration_limit=2)
    found = verify(tmp_path / "out")
    assert [name for name, r in found.reports.items() if not r.passed] == ["fake/model_int8.json"]
    assert "texts.tsv" in found.reports["fake/model_int8.json"].failures[0].detail
    other = tmp_path / "other.tsv"
    other.write_text("text\nblue\n")
    found = verify(tmp_path / "out", calibration_data=other)
    assert "is another file" in found.reports["fake/model_int8.json"].failures[0].detail
    seen = []

    def prove(target, spec, path, model, **options):
        seen.append(len(model.calibration))
        return original(target, spec, path, model, **options)

    original = sys.modules["exporter.recheck"].prove
    monkeypatch.setattr("exporter.recheck.prove", prove)
    assert verify(tmp_path / "out", calibration_data=texts_file).passed
    assert seen == [0, 2]


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
