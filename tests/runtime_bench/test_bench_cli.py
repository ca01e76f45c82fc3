"""The command as a user runs it, with real runners on tiny models."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import psutil
import pytest
from onnx import numpy_helper
from tiny_bundles import tiny_model

from runtime_bench import cli
from runtime_bench.header import run_record
from runtime_bench.records import SCHEMA as SCHEMA_NAME
from runtime_bench.results import Results, read_results
from runtime_bench.schedule import execute

MakeBundle = Callable[..., Path]
SCHEMA = Path(cli.__file__).parent / "schema" / "record.schema.json"
QUICK = ["--lengths", "8", "--blocks", "2", "--seconds-per-block", "0.01"]


def broken_model(content: bytes) -> bytes:
    """The model with a not-a-number in its classifier."""
    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        if tensor.name == "classifier":
            values = numpy_helper.to_array(tensor).copy()
            values[0, 0] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return bytes(model.SerializeToString())


@pytest.fixture
def bundles(make_bundle: MakeBundle) -> list[str]:
    artifacts = (("onnx/model.onnx", "fp32", "optimized"), ("onnx/model_int8.onnx", "int8", "x"))
    ours = make_bundle("ours", artifacts=artifacts)
    stock = make_bundle("stock", family="bert", recipe="stock")
    return [str(ours), "--baseline", str(stock)]


def test_from_bundles_to_reports(
    bundles: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    assert cli.main(["run", *bundles, *QUICK, "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["complete"] is True
    cosines = [row["cosine"] for row in document["cases"][0]["rows"]]
    assert cosines == [None, pytest.approx(1.0), None]
    assert len(document["cases"][0]["ratios"]) == 2
    assert cli.main(["report", str(out), "--out", str(tmp_path / "report")]) == 0
    printed = capsys.readouterr()
    assert "stock fp32" in printed.out
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "report.html",
        "report.md",
    ]
    assert cli.main(["report", str(out), "--format", "markdown", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"]

    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    kinds = {line["kind"] for line in lines}
    assert kinds == {"run", "load", "warm_up", "check", "block", "end"}
    for line in lines:
        validator.validate(line)
    # The schema says no to what is wrong: a field too many, one too few, a sample below zero.
    block = next(line for line in lines if line["kind"] == "block")
    for wrong in (
        {**block, "surprise": 1},
        {name: value for name, value in block.items() if name != "round"},
        {**block, "wall_ns": [-1]},
        {**block, "wall_ns": []},
    ):
        assert not validator.is_valid(wrong)


def test_failure_and_resume_records_fit_the_schema(
    two_entries: Any, scripted: Any, runner_error: Exception
) -> None:
    device = scripted()
    device.faults["baseline/onnx/model.onnx", "block", 1] = runner_error
    head = run_record(two_entries, device, ["run"])
    records: list[Any] = [head]
    execute(two_entries, device, records.append, lambda _: None, Results(head))
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for record in records:
        validator.validate({"schema": SCHEMA_NAME, **json.loads(json.dumps(asdict(record)))})
    assert {record.kind for record in records} >= {"failure", "resume"}


def test_a_model_that_gives_no_number_fails_alone(
    make_bundle: MakeBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = make_bundle("bad", contents={"onnx/model.onnx": broken_model(tiny_model())})
    good = make_bundle("good", family="bert", recipe="stock")
    out = tmp_path / "results.jsonl"
    code = cli.main(["run", str(bad), "--baseline", str(good), *QUICK, "--out", str(out)])
    assert code == 1
    assert "The output logits is not finite" in capsys.readouterr().err
    found = read_results(out)
    assert [failure.entry for failure in found.failures] == ["e1"]
    assert {block.entry for block in found.blocks} == {"e2", "peak"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "missing"], "missing is not a folder"),
        (["report", "missing.jsonl"], "cannot be read"),
        (["run", "BUNDLE", "--lengths", "999"], "Length 999 is too long"),
        (["run", "BUNDLE", "--blocks", "3"], "A B B A"),
        (["run", "BUNDLE", "--device", "pixel"], "There is no device pixel"),
        (["run", "BUNDLE", "--artifacts", "onnx/x.onnx"], "has no artifact onnx/x.onnx"),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(
    make_bundle: MakeBundle,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    bundle = str(make_bundle())
    given = [bundle if item == "BUNDLE" else item for item in arguments]
    assert cli.main(given) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_a_bundle_changed_by_hand_is_refused_before_anything_is_written(
    make_bundle: MakeBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle()
    with (bundle / "onnx/model.onnx").open("ab") as stream:
        stream.write(b"x")
    out = tmp_path / "results.jsonl"
    assert cli.main(["run", str(bundle), *QUICK, "--out", str(out)]) == 2
    shown = capsys.readouterr().err
    assert "changed after the bundle was made" in shown
    assert "squeezebert-export build" in shown
    assert not out.exists()


def test_dry_run_measures_nothing(
    bundles: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    arguments = ["run", *bundles, *QUICK, "--out", str(out), "--dry-run"]
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "e1 e2 e3 peak peak e3 e2 e1" in shown
    assert "minutes" in shown
    assert cli.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["estimated_seconds"] > 0
    assert not out.exists()


def test_devices_lists_this_machine_and_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # neither adb nor an emulator
    assert cli.main(["devices"]) == 0
    said = capsys.readouterr().out
    assert "host: " in said
    assert "adb: none. adb is not installed." in said
    assert "arm64: none. " in said
    assert cli.main(["devices", "--json"]) == 0
    (host,) = [
        device
        for device in json.loads(capsys.readouterr().out)["devices"]
        if device["name"] == "host"
    ]
    assert host["name"] == "host"
    assert "onnx" in host["targets"]


def test_ctrl_c_ends_the_runners_keeps_the_blocks_and_the_run_goes_on(
    bundles: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "results.jsonl"
    long = ["--lengths", "8", "--blocks", "40", "--seconds-per-block", "0.02"]
    command = [sys.executable, "-m", "runtime_bench.cli", "run", *bundles, *long, "--out", str(out)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if out.exists() and out.read_text().count('"kind": "block"') >= 3:
            break
        time.sleep(0.05)
    runners = psutil.Process(process.pid).children(recursive=True)
    assert len(runners) == 4
    # As a terminal does it: to the whole process group.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    last = errors.decode().strip().splitlines()[-1]
    kept = read_results(out)
    assert f"Interrupted; {len(kept.blocks)} finished blocks are kept" in last
    assert "--resume" in last
    assert "Traceback" not in errors.decode()
    assert not any(runner.is_running() for runner in runners)
    assert not kept.ends
    assert not kept.failures
    assert len(kept.blocks) >= 3


def test_resume_refuses_other_options_and_finishes_with_the_same(
    bundles: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    arguments = ["run", *bundles, *QUICK, "--out", str(out)]
    assert cli.main(arguments) == 0
    assert cli.main(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    lines = out.read_text().splitlines(keepends=True)
    blocks = [index for index, line in enumerate(lines) if '"kind": "block"' in line]
    out.write_text("".join(lines[: blocks[5]]) + lines[blocks[5]][:40])
    assert cli.main([*arguments, "--resume", "--seed", "1"]) == 2
    assert "other settings" in capsys.readouterr().err
    assert cli.main([*arguments, "--resume"]) == 0
    found = read_results(out)
    assert len(found.ends) == 1
    complete = [
        index
        for index in {block.round for block in found.blocks}
        if {b.entry for b in found.blocks if b.round == index} == {"e1", "e2", "e3", "peak"}
    ]
    assert len(complete) == 2
