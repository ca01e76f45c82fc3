"""The replay on a Mac, on a fake Mac: it agrees where it should, and says what does not."""
# ruff: noqa: ARG001 - fixtures and stand-ins take what they are called with

import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_core_ml import Change, Proxy, install
from replayed import write_replay
from small_models import small_model

from exporter.targets.coreml.replay import check_on_mac, predict_on_mac

pytestmark = pytest.mark.usefixtures("quick")

Outputs = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of a classifier."""
    folder = tmp_path_factory.mktemp("made")
    write_replay(small_model(layers=1), folder, "fp16", "optimized")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "coreml"))


@pytest.fixture
def core_ml(monkeypatch: pytest.MonkeyPatch, folder: Path) -> type[Proxy]:
    """A Mac whose Core ML is the interpreter, and the scripts in ``folder``, in this process."""
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("15.1.1", ("", "", ""), "arm64"))
    monkeypatch.setattr(check_on_mac, "__file__", str(folder / "check_on_mac.py"))

    def predict(request: dict[str, Any]) -> Any:
        there = json.loads(json.dumps(request))
        return json.loads(json.dumps(predict_on_mac.examine(there), allow_nan=False))

    monkeypatch.setattr(check_on_mac, "predict_apart", predict)
    monkeypatch.chdir(folder.parent)
    return install(monkeypatch)


def check(*words: str) -> int:
    return check_on_mac.main([*words, "--runs", "1"])


def report(folder: Path) -> Any:
    return json.loads((folder.parent / "check_on_mac.json").read_text())


def failures(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    return [line.partition("FAILED")[2].strip() for line in lines if "FAILED" in line]


def test_all_agrees(folder: Path, core_ml: type[Proxy], capsys: pytest.CaptureFixture[str]) -> None:
    assert check() == 0
    assert core_ml.units == list(check_on_mac.UNITS)
    printed = capsys.readouterr().out
    assert "model_fp16.mlpackage (fp16)" in printed
    assert "its files are those that were proved" in printed
    assert "1 packages: all agree" in printed
    found = report(folder)
    assert found["passed"] is True
    assert found["system"]["macOS"] == "15.1.1"
    (package,) = found["packages"]
    assert package["problems"] == []
    assert package["units"]["ALL"]["errors"] == dict.fromkeys(
        ("32 tokens", "40 tokens", "padded", "no token", "gaps"), 0.0
    )
    assert set(package["units"]["ALL"]["median_ms"]) == {"32", "40"}


def test_the_plan_says_what_runs_where(
    folder: Path, core_ml: type[Proxy], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("--units", "ALL,CPU_AND_NE,CPU_ONLY") == 0
    units = report(folder)["packages"][0]["units"]
    assert units["CPU_ONLY"]["plan"] is None
    plan = units["ALL"]["plan"]
    assert set(plan["devices"]) == {"CPU", "GPU", "Neural Engine"}
    assert sum(part["cost"] for part in plan["devices"].values()) == pytest.approx(1)
    norms, lookups = plan["not_on_neural_engine"]
    assert norms["operator"] == "layer_norm"
    assert (norms["device"], norms["operators"], norms["neural_engine_could"]) == ("GPU", 3, True)
    assert lookups["operator"] == "gather"
    assert (lookups["device"], lookups["neural_engine_could"]) == ("CPU", False)
    each = [part["cost"] / part["operators"] for part in (norms, lookups)]
    assert each[0] == pytest.approx(3 * each[1])
    assert set(units["CPU_AND_NE"]["plan"]["devices"]) == {"CPU", "Neural Engine"}
    assert "not on the Neural Engine, which could: 3 layer_norm on GPU" in capsys.readouterr().out


def test_an_older_system_tells_no_plan(
    folder: Path,
    core_ml: type[Proxy],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    golden = folder / "model_fp16.golden.json"
    golden.write_text(golden.read_text().replace('"minimum_macos":15', '"minimum_macos":14'))
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.3", ("", "", ""), "arm64"))
    assert check("--units", "ALL") == 0
    assert report(folder)["packages"][0]["units"]["ALL"]["plan"] is None
    assert "no plan: macOS 14.4 or newer tells it" in capsys.readouterr().out


def with_logits(change: Callable[[Any], Any]) -> Change:
    return lambda outputs: {**outputs, "logits": change(outputs["logits"])}


def with_probabilities(change: Callable[[dict[str, float]], Any]) -> Change:
    return lambda outputs: {**outputs, "classLabel_probs": change(outputs["classLabel_probs"])}


def rotated(probabilities: dict[str, float]) -> dict[str, float]:
    names = list(probabilities)
    return dict(zip(names[1:] + names[:1], probabilities.values(), strict=True))


def without(name: str) -> Change:
    return lambda outputs: {key: value for key, value in outputs.items() if key != name}


def least_likely(outputs: Outputs) -> Outputs:
    probabilities = outputs["classLabel_probs"]
    return {**outputs, "classLabel": min(probabilities, key=probabilities.get)}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (with_logits(lambda logits: 1.2 * logits), "logits differs by"),
        (with_logits(lambda logits: logits * np.nan), "logits is missing, of another shape or not"),
        (with_logits(lambda logits: logits[0]), "logits is missing, of another shape or not"),
        (without("logits"), "logits is missing, of another shape or not"),
        (without("classLabel_probs"), "classLabel_probs are missing"),
        (without("classLabel"), "classLabel is 'None', which has not the largest logit"),
        (least_likely, "which has not the largest logit"),
        (with_probabilities(rotated), "classLabel_probs are not those of the logits"),
        (
            with_probabilities(lambda found: {k: v for k, v in found.items() if k != "maybe"}),
            "classLabel_probs: the label 'maybe' is missing or unknown",
        ),
        (
            with_probabilities(lambda found: {**found, "perhaps": 0.0}),
            "classLabel_probs: the label 'perhaps' is missing or unknown",
        ),
    ],
)
def test_wrong_predictions_are_told(
    change: Change,
    line: str,
    folder: Path,
    core_ml: type[Proxy],
    capsys: pytest.CaptureFixture[str],
) -> None:
    core_ml.change = staticmethod(change)
    assert check("--units", "CPU_ONLY") == 1
    lines = failures(capsys)
    assert any(found.startswith("CPU_ONLY: 32 tokens: ") and line in found for found in lines)
    assert report(folder)["passed"] is False


def test_small_differences_are_allowed(folder: Path, core_ml: type[Proxy]) -> None:
    core_ml.change = staticmethod(with_logits(lambda logits: 1.002 * logits))
    assert check("--units", "ALL") == 0


def test_what_core_ml_refuses_is_told(
    folder: Path, core_ml: type[Proxy], capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(outputs: Outputs) -> Outputs:
        raise RuntimeError("Error computing NN outputs.")

    core_ml.change = staticmethod(refuse)
    assert check("--units", "ALL,CPU_ONLY") == 1
    assert failures(capsys) == [
        "ALL: Core ML refuses: Error computing NN outputs.",
        "CPU_ONLY: Core ML refuses: Error computing NN outputs.",
    ]


def rename(package: Path) -> None:
    path = package / "Manifest.json"
    path.write_text(path.read_text().replace("Weights", "weights"))


def flip(package: Path) -> None:
    path = package / "Data/com.apple.CoreML/weights/weight.bin"
    content = bytearray(path.read_bytes())
    content[-70] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (flip, "weights/weight.bin of the package was changed: its SHA-256 is another"),
        (rename, "Manifest.json of the package was changed: its SHA-256 is another"),
        (lambda package: (package / "Manifest.json").unlink(), "Manifest.json of the package is m"),
        (lambda package: (package / "more.bin").write_bytes(b"x"), "more.bin is no part of the"),
        (shutil.rmtree, "Manifest.json of the package is missing"),
    ],
)
def test_a_changed_package_is_not_run(
    change: Callable[[Path], Any],
    line: str,
    folder: Path,
    core_ml: type[Proxy],
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(folder / "model_fp16.mlpackage")
    assert check() == 1
    assert any(line in found for found in failures(capsys))
    assert core_ml.units == []


def test_what_other_programs_do_to_a_package_is_no_change(
    folder: Path, core_ml: type[Proxy]
) -> None:
    """The Finder leaves hidden files, coremltools writes the manifest anew as it reads it."""
    package = folder / "model_fp16.mlpackage"
    (package / ".DS_Store").write_bytes(b"x")
    manifest = package / "Manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()), indent=1) + "\n\n")
    assert check("--units", "ALL") == 0


def test_packages_can_be_named(
    folder: Path, core_ml: type[Proxy], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("model_fp16.mlpackage", "--units", "ALL") == 0
    assert check(str(folder / "model_fp16.mlpackage"), "--units", "ALL") == 0
    assert check("model_int8.mlpackage") == 2
    assert "model_int8.mlpackage is no package" in capsys.readouterr().err


def edited(**changes: object) -> Callable[[Path], None]:
    def edit(golden: Path) -> None:
        golden.write_text(json.dumps({**json.loads(golden.read_text()), **changes}))

    return edit


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (Path.unlink, "model_fp16.golden.json is missing or damaged"),
        (lambda path: path.write_text("{"), "model_fp16.golden.json is missing or damaged"),
        (lambda path: path.write_text("[]"), "model_fp16.golden.json is missing or damaged"),
        (edited(schema=2), "model_fp16.golden.json is of another version"),
        (edited(minimum_macos=16), "It needs macOS 16.0 or newer."),
    ],
)
def test_what_cannot_be_checked_is_not_passed_over(
    change: Callable[[Path], None],
    cause: str,
    folder: Path,
    core_ml: type[Proxy],
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(folder / "model_fp16.golden.json")
    assert check() == 2
    printed = capsys.readouterr().out
    assert f"NOT CHECKED. {cause}" in printed
    assert "not all were checked" in printed
    assert report(folder)["passed"] is False


@pytest.mark.usefixtures("core_ml")
def test_an_empty_folder_and_a_folder_that_takes_no_report(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("--units", "ALL", "--out", str(tmp_path / "nowhere" / "x.json")) == 2
    assert "cannot be written" in capsys.readouterr().err
    for path in folder.glob("model*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert check() == 2
    assert "There are no packages" in capsys.readouterr().err
