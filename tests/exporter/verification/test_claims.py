"""What an artifact says of itself: differences are found, and said in a line."""

import json
from dataclasses import replace

import pytest
from small_models import LABELS, small_model

from exporter.quantization.mix import uniform_mix
from exporter.targets.base import ArtifactSpec
from exporter.verification.claims import metadata_check

SPEC = ArtifactSpec("onnx", "mixed", "optimized", "onnx/model_mixed.onnx")


@pytest.fixture(scope="module")
def model():
    plain = small_model()
    return replace(plain, mix=uniform_mix(plain.config, plain.task, "int8_tensor", "int8"))


@pytest.fixture
def metadata(model):
    return {
        "labels": json.dumps(LABELS),
        "task": model.task,
        "precision": "mixed",
        "flavour": "optimized",
        "max_positions": str(model.config.max_positions),
        "mix": model.mix.text(),
        "source_hash": "1234",
    }


def check(metadata, model):
    return metadata_check(metadata, SPEC, model, {"source_hash": "1234"})


def test_true_metadata_pass(metadata, model):
    assert check(metadata, model).passed


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("task", "masked-lm", "task is 'masked-lm', expected 'sequence-classification'"),
        ("source_hash", "4321", "source_hash is '4321', expected '1234'"),
        ("labels", '["yes", "no", "maybe"]', """labels is '["yes", "no", "maybe"]', expected"""),
        ("mix", None, "mix is missing"),
        ("mix", "", "mix differs at character 0: it has '', expected '{\"bounds\""),
    ],
)
def test_what_is_not_true_is_said(key, value, says, metadata, model):
    found = {name: text for name, text in {**metadata, key: value}.items() if text is not None}
    result = check(found, model)
    assert not result.passed
    assert says in result.detail


def test_two_mixes_are_not_printed_whole(metadata, model):
    metadata["mix"] = metadata["mix"].replace('"head.pooler":"int8_tensor"', '"head.pooler":"fp32"')
    detail = check(metadata, model).detail
    assert len(metadata["mix"]) > 400
    assert len(detail) < 200
    assert '"head.pooler":"fp32' in detail
    assert '"head.pooler":"int8_tensor' in detail
