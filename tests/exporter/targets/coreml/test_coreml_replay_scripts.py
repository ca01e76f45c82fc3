"""The scripts as a bundle holds them: on their own, in processes of their own."""

import ast
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from replayed import write_replay
from small_models import small_model

from exporter.targets.coreml.replay import SCRIPTS, check_on_mac, write_scripts

#: Read by Python as it starts: makes a Mac of this machine, whose Core ML knows golden outputs.
MAC = """
import os, platform, sys, types
import numpy as np

platform.system = lambda: "Darwin"
platform.mac_ver = lambda: ("15.1", ("", "", ""), "arm64")


class Proxy:
    def __init__(self, path, units, function, hints, asset):
        import json

        with open(path.replace(".mlpackage", ".golden.json")) as file:
            self.cases = json.load(file)["cases"]

    @staticmethod
    def maximum_supported_specification_version():
        return 9

    def predict(self, inputs, state):
        if {abort}:
            sys.stderr.write("ANE compiler failed\\n")
            sys.stderr.flush()
            os.abort()
        for case in self.cases:
            if all(v[0].tolist() == case["inputs"][n] for n, v in inputs.items()):
                outputs = case["outputs"].items()
                return {{
                    n: np.array(v["values"], np.float32).reshape(v["shape"]) for n, v in outputs
                }}


native = types.ModuleType("coremltools.libcoremlpython")
native._MLModelProxy = Proxy
sys.modules[native.__name__] = native
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coreml")
    write_replay(small_model(layers=1), folder, "fp16", "fixed_logits")
    return folder


def start(folder: Path, out: Path, mac: str = "") -> subprocess.CompletedProcess[str]:
    site = out / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(mac)
    command = [sys.executable, str(folder / "check_on_mac.py"), "--units", "CPU_ONLY", "--runs=1"]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True)


def test_on_a_mac(folder: Path, tmp_path: Path) -> None:
    ended = start(folder, tmp_path, MAC.format(abort=False))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 packages: all agree" in ended.stdout
    report = json.loads((tmp_path / "check_on_mac.json").read_text())
    assert report["packages"][0]["units"]["CPU_ONLY"]["errors"]["40 tokens"] == 0.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["check_on_mac.json", "site"]


def test_core_ml_may_end_the_process(folder: Path, tmp_path: Path) -> None:
    ended = start(folder, tmp_path, MAC.format(abort=True))
    assert ended.returncode == 1
    assert "FAILED  CPU_ONLY: the process was ended (code -6): " in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_on_this_machine(folder: Path, tmp_path: Path) -> None:
    ended = start(folder, tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == "error: Core ML runs on Macs only, and this is Linux.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize(
    ("python", "words", "message"),
    [
        ((), (), "Not to be started by hand. Run: python check_on_mac.py"),
        ((), ("answer.json",), "Not to be started by hand. Run: python check_on_mac.py"),
        (("-S",), (), "numpy is not installed. Run: pip install coremltools numpy"),
    ],
)
def test_the_second_script_is_not_for_hands(
    python: tuple[str, ...], words: tuple[str, ...], message: str, folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-I", *python, str(folder / "predict_on_mac.py"), *words]
    ended = subprocess.run(
        command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"error: {message}\n"
    assert list(tmp_path.iterdir()) == []


def test_the_scripts_are_written_whole(folder: Path, tmp_path: Path) -> None:
    assert [path.name for path in write_scripts(tmp_path)] == list(SCRIPTS)
    for name, content in SCRIPTS.items():
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes() == content


@pytest.mark.parametrize("name", list(SCRIPTS))
def test_they_need_nothing_of_this_project_and_no_new_python(name: str) -> None:
    """Python 3.9 is what Apple's command line tools bring."""
    tree = ast.parse(SCRIPTS[name], feature_version=(3, 9))
    imports = {
        module.partition(".")[0]
        for node in ast.walk(tree)
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "."]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imports - sys.stdlib_module_names <= {"numpy", "coremltools"}
    assert "annotations" in {name.name for name in _future(tree)}  # "float | None" is of 3.10
    keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    assert "strict" not in keywords  # of zip: 3.10


def _future(tree: ast.Module) -> list[ast.alias]:
    found = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return [name for node in found if node.module == "__future__" for name in node.names]


@pytest.mark.parametrize(
    ("system", "macos", "version", "message"),
    [
        ("Linux", "", "9.0", "Core ML runs on Macs only, and this is Linux."),
        ("Darwin", "13.6", "9.0", "macOS 13.6 is too old."),
        ("Darwin", "15.1", "8.0b1", "coremltools 8.0b1 is too old: 8.1 or newer"),
        ("Darwin", "15.1", None, "coremltools is not installed."),
    ],
)
def test_other_machines_are_told_so(
    system: str,
    macos: str,
    version: str | None,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def installed(name: str) -> str:
        if version is None:
            raise PackageNotFoundError(name)
        return version

    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "mac_ver", lambda: (macos, ("", "", ""), ""))
    monkeypatch.setattr(check_on_mac.importlib.metadata, "version", installed)
    assert check_on_mac.main([]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {message}")
    assert captured.out == ""


@pytest.mark.parametrize("words", [["--units", "TPU"], ["--runs", "0"]])
def test_options_that_mean_nothing(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        check_on_mac.main(words)
    assert ended.value.code == 2
