"""The whole way with nothing faked on one side: the real gate, then the real target."""
# ruff: noqa: ARG001 - fixtures are asked for by name

import json

import onnx
import pytest
from fake_target import FakeTarget

import exporter.bundle
from exporter.evaluation import evaluate
from exporter.manifest_file import read_manifest
from exporter.prediction import predict
from exporter.recheck import verify


def test_the_real_gate_admits_a_target_that_it_has_never_seen(
    target: FakeTarget, checkpoint_folder, tmp_path
):
    result = exporter.bundle.build(
        str(checkpoint_folder), tmp_path / "out", targets=("fake",), precisions=("fp32",)
    )
    assert result.refused == {}
    assert verify(tmp_path / "out").passed


def test_the_real_gate_refuses_what_is_slightly_wrong(target, checkpoint_folder, tmp_path):
    target.wrong["fp32"] = 1e-4
    result = exporter.bundle.build(
        str(checkpoint_folder), tmp_path / "out", targets=("fake",), precisions=("fp32",)
    )
    assert result.built == ()
    assert result.refused["fake/model.json"]


@pytest.fixture
def onnx_bundle(checkpoint_folder, labelled, tmp_path):
    result = exporter.bundle.build(str(checkpoint_folder), tmp_path / "out", eval_data=labelled)
    assert result.refused == {}
    return tmp_path / "out"


def test_onnx_is_built_proved_measured_and_kept(onnx_bundle, checkpoint_folder, labelled, tmp_path):
    paths = ("onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_int8.onnx")
    assert verify(onnx_bundle).passed
    manifest = read_manifest(onnx_bundle)
    for path in paths:
        carried = {e.key: e.value for e in onnx.load(onnx_bundle / path).metadata_props}
        assert carried["source_hash"] == manifest.model.source_hash
        assert carried["tokenizer_hash"] == manifest.tokenizer.hash
        assert json.loads(carried["versions"]) == dict(manifest.versions)
    result = evaluate(onnx_bundle, labelled)
    assert tuple(result.accuracies) == paths
    assert result.accuracies[paths[0]].agreement == 1.0
    labels = {
        predict(onnx_bundle, "red cat", artifact=p).answer["labels"][0]["label"] for p in paths
    }
    assert len(labels) == 1
    again = exporter.bundle.build(str(checkpoint_folder), tmp_path / "out", eval_data=labelled)
    assert again.kept == paths
    assert again.built == ()
