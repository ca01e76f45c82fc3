"""The reports of a search and of sensitivities: what they say, and of what."""

import json

from exporter.quantization.mix import units
from exporter.search.commands import sensitivity
from exporter.search.report import write_report
from exporter.verification.evaluation import Evaluator
from tests.exporter.search.mixed_target import MixedTarget


def test_the_report_explains_the_choice(found, tmp_path):
    text = write_report(found, tmp_path).read_text()
    for line in found.lines():
        assert line in text
    for unit in units(found.prepared.networks.model.config, "sequence-classification"):
        assert f"| {unit.name} | {found.chosen.methods[unit.name]} |" in text
    assert "Calibration: 48 texts" in text
    assert "of the examples to choose by, without their labels" in text
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["chosen"] == found.chosen.name
    assert document["mix"]["methods"] == dict(found.mix.methods)
    assert document["calibration"] == {"texts": 48, "own": True, "left_out": 0}
    for picture in ("sensitivity.png", "candidates.png"):
        assert f"]({picture})" in text
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_sensitivity_alone_has_a_report(evaluator, tmp_path, monkeypatch):
    monkeypatch.setattr("exporter.search.commands.find_target", lambda _: MixedTarget())
    monkeypatch.setattr("exporter.search.commands.load", lambda *_, **__: evaluator.checkpoint)
    monkeypatch.setattr(Evaluator, "open", lambda *_: evaluator)
    report = sensitivity("model", tmp_path / "data.tsv", tmp_path / "out", limit=16)
    assert report.examples == report.document()["examples"] == 16
    assert str(report.path) in report.text()
    text = report.path.read_text()
    assert "layers.0.attention.output | int4_tensor" in text
    assert "16 texts" in text
    assert (report.path.parent / "sensitivity.png").exists()
