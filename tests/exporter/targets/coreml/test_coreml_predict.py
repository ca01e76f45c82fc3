"""Asking a CoreML package from the command line: in its bundle, and alone."""

import json
import shutil
from pathlib import Path

import pytest

from exporter.bundle import build
from exporter.cli import main
from exporter.prediction import predict
from exporter.targets.base import find_target

TEXT = "book me a hotel in paris"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example that comes with the project, as one small package."""
    out = tmp_path_factory.mktemp("bundle") / "out"
    made = build("example:intents", out, targets=("coreml",), precisions=("palettized6",))
    assert not made.refused
    return out


PACKAGE = "coreml/model_palettized6.mlpackage"


def test_a_package_answers_in_its_bundle_and_alone(bundle: Path, tmp_path: Path) -> None:
    found = predict(bundle, TEXT)
    assert found.artifact == PACKAGE
    assert found.answer["labels"][0]["label"] == "book_hotel"
    assert predict(bundle / PACKAGE, TEXT) == found
    alone = tmp_path / "alone.mlpackage"
    shutil.copytree(bundle / PACKAGE, alone)
    assert predict(alone, TEXT, tokenizer=bundle).answer == found.answer


def test_ranges_are_told_of_every_value(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(bundle / PACKAGE), "--text", TEXT, "--ranges", "--json"]) == 0
    ranges = json.loads(capsys.readouterr().out)["ranges"]
    assert ranges["first_not_finite"] is None
    assert 1 < ranges["headroom"] < 65504
    assert {"hidden_0", "hidden_4", "logits"} <= {value["name"] for value in ranges["values"]}
    assert main(["predict", str(bundle / PACKAGE), "--text", TEXT, "--ranges"]) == 0
    assert "times as large" in capsys.readouterr().out


def test_the_bundle_has_what_a_mac_needs(bundle: Path) -> None:
    names = {path.name for path in (bundle / "coreml").iterdir()}
    assert {"check_on_mac.py", "model_palettized6.golden.json"} <= names
    manifest = json.loads((bundle / "manifest.json").read_text())
    (artifact,) = manifest["artifacts"]
    assert {file["path"].rpartition("/")[2] for file in artifact["files"]} == {
        "Manifest.json",
        "model.mlmodel",
        "weight.bin",
        "model_palettized6.golden.json",
    }
    said = find_target("coreml").metadata(bundle / PACKAGE)
    measured = json.loads(said["measured_parity"])
    checks = [check["name"] for check in artifact["verification"]["checks"]]
    assert set(measured) == set(checks)
    assert said["precision"] == "palettized6"


@pytest.mark.parametrize("damage", ["weight.bin", "model.mlmodel"])
def test_a_damaged_package_is_one_line(
    damage: str, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "alone.mlpackage"
    shutil.copytree(bundle / PACKAGE, alone)
    (file,) = alone.rglob(damage)
    file.write_bytes(file.read_bytes()[:-7])
    words = ["predict", str(alone), "--text", TEXT, "--tokenizer", str(bundle)]
    assert main(words) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert "alone.mlpackage" in error
    assert "Traceback" not in error
