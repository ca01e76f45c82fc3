"""The app's own code measures a plan that comes over adb: loop, records and state are Kotlin's.

The phone and the engine are made up (core's test sources), since no phone is here.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
from adb_daemon import app
from adb_daemon.bench import QUICK, Bench
from adb_daemon.client import ADB
from tiny_bundles import tiny_model, write_bundle

from runtime_bench import cli
from runtime_bench.app import follow
from tests.android_app.core_classes import class_path

pytest_plugins = ["adb_daemon.fixtures"]
pytestmark = pytest.mark.skipif(
    ADB is None, reason="adb is not installed (Debian: apt-get install adb)"
)
MAIN = "org.squeezebert.core.entry.RunPlanKt"


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "LOOK_STEP", 0.1)


@pytest.fixture
def with_app(bench: Bench, tmp_path: Path) -> Bench:
    """A phone on which the app's code runs, and two bundles with other weights."""
    path = class_path()
    command = [str(shutil.which("java")), "-XX:TieredStopAtLevel=1", "-cp", path, MAIN]
    told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    phone = bench.phone()
    app.install(phone, command)
    app.write(phone, "about", told.strip())
    (tmp_path / "other").mkdir()
    write_bundle(
        tmp_path / "other",
        contents={"onnx/model.onnx": tiny_model(seed=3)},
        source="random:other",
    )
    return bench


def run(bench: Bench, *options: str) -> tuple[int, str]:
    device = f"app:{bench.phones[0].daemon.serial}"
    baseline = str(bench.folder / "other")
    return bench.run("--baseline", baseline, *options, device=device)


def test_kotlin_measures_what_python_planned(with_app: Bench, tmp_path: Path) -> None:
    code, said = run(with_app)
    assert code == 0, said
    results = with_app.results()
    assert {(block.entry, block.round) for block in results.blocks} == {
        (entry, number) for entry in ("e1", "e2") for number in range(2)
    }
    assert [item.entry for item in results.warm_ups] == ["e1", "e2"]
    assert results.loads[0].versions == {"onnxruntime": "1.0"}
    assert results.ends[0].failed == ()
    assert app.left_behind(with_app.phones[0]) == []
    report = tmp_path / "report"
    formats = ("--format", "markdown", "--out", str(report))
    assert cli.main(["report", str(with_app.out), *formats]) == 0
    # The made-up engine takes twice as long for the second model.
    assert "2.00" in (report / "report.md").read_text(encoding="utf-8")


def test_kotlin_goes_on_where_it_was_ended(with_app: Bench) -> None:
    phone = with_app.phones[0]
    more = ("--blocks", "4", "--most-blocks", "4")
    app.write(phone, "die-after", "3500")
    code, said = run(with_app, *more)
    assert code == 1, said
    assert "ended in the middle of its run" in said
    before = with_app.results()
    assert before.blocks
    assert not before.ends
    app.forget(phone, "die-after")
    code, said = run(with_app, *more, "--resume")
    assert code == 0, said
    after = with_app.results()
    assert after.blocks[: len(before.blocks)] == before.blocks
    found = {(block.entry, block.round) for block in after.blocks}
    assert {entry for entry, _ in found} == {"e1", "e2"}
    assert len({number for _, number in found}) >= 4
    assert len(after.resumes) == 1
    assert after.ends
    assert app.left_behind(phone) == []


def test_a_changed_model_is_found_by_kotlin(with_app: Bench) -> None:
    phone = with_app.phones[0]
    # Behind adb's back, after its hash was proved: the app is started next.
    script = phone.folder / "bin/wm"
    script.write_text(
        "#!/bin/sh\n"
        f'for file in "$ROOT"/{app.FOLDERS}/*/bundles/e1/onnx/model.onnx; do\n'
        '    printf x >> "$file"\ndone\n',
        encoding="utf-8",
    )
    code, said = run(with_app)
    assert code == 1, said
    assert "has other bytes than the plan says" in said
    assert not with_app.results().blocks


def test_the_options_of_a_quick_run_are_in_its_record(with_app: Bench) -> None:
    # What the app understood is compared with what was planned, so that a run that succeeds proves
    # that both sides read and write the same settings.
    code, said = run(with_app, "--starts", "2", "--threads", "1,2")
    assert code == 0, said
    settings = with_app.results().run.settings
    assert settings["starts"] == 2
    assert settings["seconds_per_block"] == float(QUICK[QUICK.index("--seconds-per-block") + 1])
    assert len(with_app.results().starts) == 2 * 2 * 2
