"""What the native runners refuse, in whose words, and that they live on; their command line."""

import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from native_processes import (
    LIMIT,
    inputs,
    load,
    needs_native,
    prepare,
    run,
    start,
)
from tiny_bundles import tiny_model

from runtime_bench.errors import RunnerError
from runtime_bench.runners.client import LocalRunner
from runtime_bench.runners.executorch_program import ProgramModel
from runtime_bench.runners.native import EXECUTABLES

pytestmark = needs_native


COMMANDS_THAT_FAIL: list[tuple[Any, str]] = [
    ({"command": "dance"}, "There is no command dance"),
    ({"command": "load"}, "The command is wrong.*model"),
    ({"command": "prepare", "inputs": inputs(values=[1000])}, "1000"),
    ({"command": "prepare", "inputs": inputs(dtype="int32")}, "int32"),
    ({"command": "prepare", "inputs": inputs(dtype="complex64")}, "Known are int64, int32"),
    ({"command": "prepare", "inputs": inputs(values=[])}, "input_ids has no values"),
    ({"command": "prepare", "inputs": inputs(shape=[1, -4])}, "negative"),
    ({"command": "prepare", "inputs": inputs(shape=[10**6, 10**6])}, "too large"),
    ({"command": "prepare", "inputs": inputs(values=["a"])}, "The command is wrong"),
    ({"command": "prepare", "inputs": {"input_ids": inputs()["input_ids"]}}, "attention_mask"),
    ({"command": "block", "seconds": "long", "minimum_iterations": 1}, "The command is wrong"),
]


@pytest.mark.parametrize(("command", "message"), COMMANDS_THAT_FAIL)
def test_a_command_that_fails_is_an_answer_and_the_runner_lives(
    loaded: LocalRunner, command: dict[str, Any], message: str
) -> None:
    before = prepare(loaded)["outputs"]
    with pytest.raises(RunnerError, match=message):
        loaded.request(command, LIMIT)
    assert prepare(loaded)["outputs"] == before


def test_what_is_no_command_is_an_answer(target: str) -> None:
    lines = ["hello", "[1]", '{"no": 1}', "", "\udcff", '{"command": "block"}', "{"]
    text = "\n".join(lines).encode("utf-8", "surrogateescape") + b"\n"
    result = run(target, text=text)
    assert result.returncode == 0
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["event"] for answer in answers] == ["ready"] + ["error"] * len(lines)
    assert "This is no command" in answers[1]["message"]
    assert "No model is loaded" in answers[-2]["message"]


def test_a_runner_ends_with_its_input_and_when_told(target: str) -> None:
    for text in (b"", b'{"command": "quit"}\nnever read\n'):
        result = run(target, text=text)
        assert result.returncode == 0
        assert len(result.stdout.splitlines()) == 1


def test_steps_out_of_order_are_refused(
    runner: LocalRunner, target: str, models: Mapping[str, Path]
) -> None:
    block = {"command": "block", "seconds": 0, "minimum_iterations": 1}
    with pytest.raises(RunnerError, match="No model is loaded"):
        prepare(runner)
    load(runner, models[target])
    with pytest.raises(RunnerError, match="The model has no inputs"):
        runner.request(block, LIMIT)
    prepare(runner)
    with pytest.raises(RunnerError):
        load(runner, models[target].with_name("none"))
    # A load that failed leaves no model behind that could be measured in its place.
    with pytest.raises(RunnerError, match="No model is loaded"):
        runner.request(block, LIMIT)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:8],
        lambda _: b"",
        lambda _: b"hello world " * 100,
        lambda content: content[:4] + b"ET11" + content[8:],
        lambda content: content.replace(b"XH00", b"XH99"),
        None,
    ],
)
def test_programs_that_do_not_open_are_explained_as_by_the_python_runner(
    tiny_pte: bytes, tmp_path: Path, change: Callable[[bytes], bytes] | None
) -> None:
    path = tmp_path / "model.pte"
    if change is not None:
        path.write_bytes(change(tiny_pte))
    runner = start("executorch")
    try:
        with pytest.raises(RunnerError) as ours:
            load(runner, path)
    finally:
        runner.close()
    with pytest.raises(RunnerError) as theirs:
        ProgramModel(path, 1)
    assert (ours.value.message, ours.value.next_step) == (
        theirs.value.message,
        theirs.value.next_step,
    )
    assert "model.pte" in ours.value.message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"XnnpackBackend", b"NowhereBackend", "needs the backend NowhereBackend"),
        (b"aten::embedding", b"aten::embeddinx", "needs the operator aten::embeddinx.out"),
    ],
)
def test_what_a_program_needs_and_the_runner_lacks_is_named(
    tiny_pte: bytes, tmp_path: Path, old: bytes, new: bytes, message: str
) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(tiny_pte.replace(old, new))
    runner = start("executorch")
    try:
        with pytest.raises(RunnerError, match=message):
            load(runner, path)
        path.write_bytes(tiny_pte)
        load(runner, path)
    finally:
        runner.close()


@pytest.mark.parametrize("content", [tiny_model()[:200], b"hello", None])
def test_onnx_models_that_do_not_open(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.onnx"
    runner = start("onnx")
    try:
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(RunnerError, match=r"ONNX Runtime: .*model\.onnx"):
            load(runner, path)
        path.write_bytes(tiny_model())
        assert load(runner, path)["load_ns"] > 0
    finally:
        runner.close()


def test_a_human_gets_every_answer(target: str, models: Mapping[str, Path]) -> None:
    options = ("--length", "8", "--seconds", "0.01", "--vocabulary", "50")
    result = run(target, "--model", str(models[target]), *options)
    assert result.returncode == 0, result.stderr
    events = [json.loads(line)["event"] for line in result.stdout.splitlines()]
    assert events == ["loaded", "prepared", "warm", "block"]
    result = run(target, "--model", str(models[target]), *options, "--bare-loop")
    overhead = json.loads(result.stdout.splitlines()[-1])
    assert overhead["repetitions"] >= 1
    assert overhead["bare_ns"] > 0


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--model", "none.x"), 1, "none.x"),
        (("--speed",), 2, "There is no option --speed. See:"),
        (("--threads", "1"), 2, "need --model FILE"),
        (("--model",), 2, "--model takes a value"),
        (("--model", "x", "--length", "long"), 2, "--length takes a number, not long"),
        (("--model", "x", "--cpus", "1,b"), 2, "--cpus takes a number, not b"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    target: str, options: tuple[str, ...], code: int, message: str
) -> None:
    result = run(target, *options)
    assert (result.returncode, result.stdout) == (code, b"")
    assert message in result.stderr.decode()
    assert len(result.stderr.splitlines()) == 1


def test_help_and_versions(target: str) -> None:
    text = run(target, "--help").stdout.decode()
    assert text.startswith(f"usage: {EXECUTABLES[target]}")
    assert "--cpus" in text
    (line,) = run(target, "--version").stdout.splitlines()
    assert json.loads(line)["versions"]["native"] == platform.machine()
