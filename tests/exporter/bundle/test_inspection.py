"""What bundles and files say about themselves."""
# ruff: noqa: ARG001 - fixtures are asked for by name

import pytest

from exporter.errors import UserError
from exporter.inspection import inspect


def test_a_bundle_shows_its_manifest_and_what_changed(build, tmp_path):
    build()
    found = inspect(tmp_path / "out")
    assert [a["path"] for a in found["artifacts"]] == ["fake/model.json", "fake/model_int8.json"]
    assert found["changed"] == []
    (tmp_path / "out" / "vocab.txt").write_text("x")
    assert "vocab.txt has 1 bytes" in inspect(tmp_path / "out")["changed"][0]


def test_a_bundle_may_have_a_dot_in_its_name(build, tmp_path):
    build(out=tmp_path / "intents.v1")
    assert inspect(tmp_path / "intents.v1")["recipe"] == "squeezebert-export"


def test_an_artifact_shows_what_it_declares(build, tmp_path):
    manifest = build().manifest
    found = inspect(tmp_path / "out" / "fake" / "model.json")
    assert found["target"] == "fake"
    assert found["metadata"]["precision"] == "fp32"
    assert found["sha256"] == manifest.artifacts[0].sha256
    assert found["bytes"] == manifest.artifacts[0].bytes
    assert found["outputs"] == [{"name": "logits", "dtype": "float32", "shape": ("batch", 3)}]


def test_other_files_and_missing_ones_are_refused(target, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        inspect(tmp_path / "none")
    (tmp_path / "photo.json").write_text("x")
    with pytest.raises(UserError, match=r"no artifact that can be read \(fake: "):
        inspect(tmp_path / "photo.json")
    with pytest.raises(UserError, match="not a bundle"):
        inspect(tmp_path)
