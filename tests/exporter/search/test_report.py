"""The reports of a search and of sensitivities: what they say, and of what."""

import json

from exporter.quantization.mix import METHODS, TABLE_METHODS, is_table, units
from exporter.search.commands import sensitivity
from exporter.search.legend import legend
from exporter.search.report import write_report
from exporter.verification.evaluation import Evaluator
from tests.exporter.search.mixed_target import MixedTarget


def assert_methods_are_explained(measured, text):
    _, _, rest = text.partition("Methods of layers:")
    layers, _, tables = rest.partition("Methods of tables:")
    for unit in measured:
        assert f"- `{unit['method']}`: " in (tables if is_table(unit["unit"]) else layers)


def test_methods_are_explained_by_what_they_do():
    lines = legend([("layers.0.attention", "int8_symmetric"), ("embeddings.word", "int4")])
    assert "- `int4`: int4, a scale for 64 values of a row" in lines
    (line,) = (line for line in lines if "int8_symmetric" in line)
    assert line.startswith("- `int8_symmetric`: int8 weights")
    assert "inputs quantized to 8 bits symmetrically" in line
    every = legend(
        [*((".", name) for name in METHODS), *(("embeddings.", n) for n in TABLE_METHODS)]
    )
    said = [line.partition(": ")[2] for line in every if line.startswith("- ")]
    assert len(said) == len(METHODS) + len(TABLE_METHODS)
    # No two of a kind are told apart by their names alone.
    assert len(set(said)) == len(said)


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
    assert_methods_are_explained(document["sensitivity"]["units"], text)
    assert "Provisional" not in text
    assert "compare only ratios" in text
    assert "another run may differ by more" in text.replace("\n", " ")
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
    assert "Fitted to 16 texts of the same data" in text
    measured = [(found["unit"], found["method"]) for found in report.document()["units"]]
    assert ("layers.0.attention.products", "int8_tensor") in measured
    assert text.count("\n| attention products |") == 1
    assert "values by the range of each whole tensor" in text
    assert "smoothing and static ranges" in text
    assert "choose" not in text
    assert_methods_are_explained(report.document()["units"], text)
    assert (report.path.parent / "sensitivity.png").exists()
