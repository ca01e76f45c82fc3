"""Runs in the app on a simulated phone, through the real adb client."""

import json
from pathlib import Path

import jsonschema
import pytest
from adb_daemon import app
from adb_daemon.bench import QUICK, ROUNDS, Bench, assert_says
from adb_daemon.client import ADB
from adb_daemon.make import Make
from adb_daemon.phone import Phone
from tiny_bundles import tiny_model, write_bundle

import runtime_bench
from runtime_bench import cli
from runtime_bench.adb.client import Adb, AdbServer
from runtime_bench.app import follow
from runtime_bench.devices import app as kind

pytest_plugins = ["adb_daemon.fixtures"]
pytestmark = pytest.mark.skipif(
    ADB is None, reason="adb is not installed (Debian: apt-get install adb)"
)
SCHEMAS = Path(runtime_bench.__file__).parent / "schema"


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "LOOK_STEP", 0.05)


def run(bench: Bench, *options: str) -> tuple[int, str]:
    return bench.run(*options, device=f"app:{bench.phones[0].daemon.serial}")


def cleared(phone: Phone) -> bool:
    return (
        app.left_behind(phone) == []
        and phone.left_behind() == []
        and phone.running() == []
        and phone.setting("settings/global.stay_on_while_plugged_in") is None
    )


def keep_plan(phone: Phone) -> Path:
    """Keep the plan of the run that follows, which is removed with everything else."""
    kept = phone.folder / "kept.json"
    script = phone.folder / "bin/am"
    text = script.read_text(encoding="utf-8")
    copy = f'[ "$1" = start ] && cp "$ROOT/{app.FOLDERS}/$7/plan.json" "$ROOT/kept.json"\n'
    script.write_text(text.replace("#!/bin/sh\n", f"#!/bin/sh\n{copy}"), encoding="utf-8")
    return kept


def test_a_plan_is_measured_and_the_phone_is_left_as_it_was(bench: Bench) -> None:
    phone = bench.phone(prepare=app.installed())
    code, said = run(bench)
    assert code == 0, said
    results = bench.results()
    device = results.run.device
    assert (device["name"], device["kind"]) == (f"app:{phone.daemon.serial}", "app")
    assert device["model"] == "Google Pixel 6"
    assert results.run.versions["app"] == "0.1.0"
    assert results.run.notices[-1].startswith("Measured inside the app")
    assert [entry["id"] for entry in results.run.entries] == ["e1"]
    assert [(item.entry, item.round) for item in results.blocks] == [("e1", 0), ("e1", 1)]
    assert results.ends
    assert results.ends[0].failed == ()
    assert "bringing the models to the phone" in said
    assert cleared(phone)
    schema = json.loads((SCHEMAS / "record.schema.json").read_bytes())
    for line in bench.out.read_bytes().splitlines():
        jsonschema.validate(json.loads(line), schema)


def test_the_plan_is_one_of_its_schema_with_this_machines_answers(
    bench: Bench, tmp_path: Path
) -> None:
    phone = bench.phone(prepare=app.installed())
    (tmp_path / "long").mkdir()
    contents = {"onnx/model.onnx": tiny_model(seed=7)}  # the fixture knows others' answers
    bench.bundle = write_bundle(tmp_path / "long", contents=contents)
    kept = keep_plan(phone)
    code, said = run(
        bench, "--lengths", "8,16", "--threads", "1,2", "--baseline", str(bench.bundle)
    )
    assert code == 0, said
    plan = json.loads(kept.read_bytes())
    jsonschema.validate(plan, json.loads((SCHEMAS / "app_plan.schema.json").read_bytes()))
    assert (plan["lengths"], plan["threads"]) == ([8, 16], [1, 2])
    assert plan["inputs"]["e1"]["16"]["input_ids"]["shape"] == [1, 16]
    answer = plan["expected"]["e1"]["16"]["logits"]
    assert answer["shape"] == [1, 3]
    assert len(answer["values"]) == 3
    assert plan["tolerances"] == {"e1": 1e-4}


def test_a_report_can_be_made_of_it(bench: Bench, tmp_path: Path) -> None:
    bench.phone(prepare=app.installed())
    (tmp_path / "other").mkdir()
    other = write_bundle(tmp_path / "other", family="bert", recipe="stock", source="random:other")
    code, said = run(bench, "--baseline", str(other))
    assert code == 0, said
    assert {block.entry for block in bench.results().blocks} == {"e1", "e2"}
    formats = ("--format", "terminal,markdown,html", "--out", str(tmp_path / "report"))
    assert cli.main(["report", str(bench.out), *formats]) == 0
    text = (tmp_path / "report/report.md").read_text(encoding="utf-8")
    assert "Pixel 6" in text


def test_two_bundles_with_one_file_name_stay_apart(bench: Bench, tmp_path: Path) -> None:
    # The simulated app compares what lies in each folder with the hash of its own entry.
    phone = bench.phone(prepare=app.installed())
    (tmp_path / "other").mkdir()
    contents = {"onnx/model.onnx": tiny_model(seed=5)}
    other = write_bundle(tmp_path / "other", contents=contents, source="random:other")
    code, said = run(bench, "--baseline", str(other))
    assert code == 0, said
    assert cleared(phone)


def test_no_app(bench: Bench) -> None:
    phone = bench.phone()
    code, said = run(bench)
    assert code == 2, said
    assert_says(said, ("The app is not installed on the phone", "make apk", "install -r"))
    assert not bench.out.exists()
    assert phone.left_behind() == []


def test_an_app_without_the_provider(bench: Bench) -> None:
    bench.phone(prepare=lambda phone: (app.install(phone), app.write(phone, "old")))
    code, said = run(bench)
    assert code == 2, said
    assert_says(said, ("does not tell what it can do", "Could not find provider", "make apk"))


@pytest.mark.parametrize(
    "about",
    [
        {"engines": 3},
        {"engines": {"onnx": {}}},
        {"engines": {"onnx": []}},
        {"device": {"model": "lacks the rest"}},
        {"device": {**app.DEVICE, "more": 1}},
        {"versions": None},
    ],
)
def test_an_app_that_tells_nonsense(bench: Bench, about: dict[str, object]) -> None:
    bench.phone(prepare=app.installed(**about))
    code, said = run(bench)
    assert code == 2, said
    assert_says(said, ("does not tell what it can do", "make apk"))


def test_an_app_for_other_plans(bench: Bench) -> None:
    bench.phone(prepare=app.installed(plans="squeezebert-app-plan/9"))
    code, said = run(bench)
    assert code == 2, said
    assert_says(said, ("reads plans of squeezebert-app-plan/9", "make apk"))


def test_an_app_without_engines(bench: Bench) -> None:
    bench.phone(prepare=app.installed(engines={"executorch": app.NO_EXECUTORCH}))
    code, said = run(bench)
    assert code == 2, said
    assert_says(said, ("no engine that runs there", "ExecuTorch is not in this app.", "Build the"))


def test_artifacts_for_which_the_app_has_no_engine_are_left_out_aloud(
    bench: Bench, tmp_path: Path
) -> None:
    phone = bench.phone(prepare=app.installed())
    (tmp_path / "both").mkdir()
    files = (("onnx/model.onnx", "fp32", "optimized"), ("executorch/a.pte", "fp32", "xnnpack"))
    bench.bundle = write_bundle(tmp_path / "both", artifacts=files)
    code, said = run(bench)
    assert code == 0, said
    assert "executorch/a.pte; there is no runner for executorch." in said
    assert cleared(phone)


def test_cores_cannot_be_chosen(bench: Bench) -> None:
    bench.phone(prepare=app.installed())
    code, said = run(bench, "--cores", "big")
    assert code == 2, said
    assert_says(said, ("cannot choose its cores", "--device adb"))


def test_a_full_phone(bench: Bench) -> None:
    bench.phone(prepare=lambda phone: (app.install(phone), phone.free_space(1 << 20)))
    code, said = run(bench)
    assert code == 2, said
    assert_says(said, ("MB are needed", "Free some"))


def test_a_screen_that_stays_off(bench: Bench) -> None:
    phone = bench.phone(
        prepare=lambda phone: (app.install(phone), phone.screen(on=False, stays_off=True))
    )
    code, said = run(bench)
    assert code == 1, said
    assert_says(said, ("The screen is off",))
    assert cleared(phone)


def test_dry_run_prints_commands_and_changes_nothing(bench: Bench) -> None:
    phone = bench.phone(prepare=app.installed())
    device = ("--device", f"app:{phone.daemon.serial}")
    code = cli.main(
        ["run", str(bench.bundle), *QUICK, "--out", str(bench.out), "--dry-run", *device]
    )
    printed = bench.captured.readouterr().out
    assert code == 0
    for part in (
        "am start -W -n org.squeezebert.app/.BenchmarkEntry",
        "am force-stop",
        "plan.json",
    ):
        assert part in printed
    assert "matrix product" not in printed
    assert phone.pushed == []
    assert app.left_behind(phone) == []
    assert not bench.out.exists()


def test_devices_lists_phones_that_have_the_app(bench: Bench) -> None:
    with_app = bench.phone(prepare=app.installed())
    bench.phone()
    assert cli.main(["devices", "--json"]) == 0
    found = json.loads(bench.captured.readouterr().out)
    apps = [item for item in found["devices"] if item["name"].startswith("app:")]
    assert [item["name"] for item in apps] == [f"app:{with_app.daemon.serial}"]
    assert apps[0]["targets"] == ["onnx"]
    assert apps[0]["kind"] == "app"


def test_devices_says_that_no_phone_has_the_app(bench: Bench) -> None:
    bench.phone()
    assert cli.main(["devices", "--json"]) == 0
    found = json.loads(bench.captured.readouterr().out)
    assert "make apk" in found["missing"]["app"]


def test_the_only_phone_needs_no_serial(bench: Bench) -> None:
    phone = bench.phone(prepare=app.installed())
    code, said = bench.run(device="app")
    assert code == 0, said
    assert bench.results().run.device["name"] == f"app:{phone.daemon.serial}"


def test_a_phone_at_another_server(bench: Bench) -> None:
    phone = bench.phone(prepare=app.installed())
    adb = Adb(AdbServer("127.0.0.1", bench.server.port), phone.daemon.serial)
    device = kind.AppDevice(adb, "app:x")
    assert device.targets() == {"onnx"}


def test_an_emulator_for_another_processor_is_measured(bench: Bench) -> None:
    # The native runners are for arm64-v8a alone; the app is built for x86_64, too.
    device = {**app.DEVICE, "architecture": "x86_64"}
    bench.phone(Make(abis=("x86_64", "arm64-v8a")), app.installed(device=device))
    code, said = run(bench)
    assert code == 0, said
    assert bench.results().run.device["architecture"] == "x86_64"
    assert len(bench.results().blocks) == ROUNDS


def test_without_a_phone_the_app_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "find", list)
    monkeypatch.setattr(kind.phones, "missing", lambda: "Plug one in.")
    assert kind.missing() == "Plug one in."
    monkeypatch.setattr(kind.phones, "missing", str)
    assert "adb install" in kind.missing()
