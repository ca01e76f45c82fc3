"""Real runner processes: the contract, death, silence and nonsense."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import psutil
import pytest
from tiny_bundles import tiny_model

from runtime_bench.devices.base import find_devices, open_device
from runtime_bench.devices.host import Host
from runtime_bench.errors import InputError, RunnerError
from runtime_bench.runners.client import LocalRunner
from runtime_bench.runners.onnx_worker import SessionModel, session_options
from runtime_bench.runners.protocol import Array, _Session, describe_outputs, is_steady

MakeBundle = Callable[..., Path]
LIMIT = 60.0
INPUTS = {
    "input_ids": {"dtype": "int64", "shape": [1, 4], "values": [1, 2, 3, 4]},
    "attention_mask": {"dtype": "int64", "shape": [1, 4], "values": [1]},
}


@pytest.fixture
def loaded(make_bundle: MakeBundle) -> Iterator[LocalRunner]:
    """A runner of this machine that holds the tiny model."""
    host = Host()
    runner = host.start("onnx", LIMIT)
    assert isinstance(runner, LocalRunner)
    model = host.stage(make_bundle(), "onnx/model.onnx", [])
    answer = runner.request({"command": "load", "model": model, "threads": 1}, LIMIT)
    assert answer["load_ns"] > 0
    assert answer["peak_rss_bytes"] >= answer["rss_before_bytes"] > 0
    yield runner
    runner.close()


def test_the_contract_from_loading_to_a_block(loaded: LocalRunner) -> None:
    assert "onnxruntime" in loaded.versions
    prepared = loaded.request({"command": "prepare", "inputs": INPUTS}, LIMIT)
    logits = prepared["outputs"]["logits"]
    assert logits["finite"] is True
    assert logits["shape"] == [1, 3]
    assert len(logits["values"]) == 3
    warm = loaded.request({"command": "warm_up", "limit_s": 5}, LIMIT)
    assert len(warm["wall_ns"]) >= 6
    command = {"command": "block", "seconds": 0.01, "minimum_iterations": 7}
    block = loaded.request(command, LIMIT)
    assert len(block["wall_ns"]) == len(block["cpu_ns"]) >= 7
    assert min(block["wall_ns"]) > 0
    assert len(block["lead_in_ns"]) == len(block["lead_in_cpu_ns"]) >= 1
    assert block["peak_rss_bytes"] > 0


def test_other_inputs_give_other_outputs(loaded: LocalRunner) -> None:
    first = loaded.request({"command": "prepare", "inputs": INPUTS}, LIMIT)["outputs"]
    changed = {**INPUTS, "input_ids": {**INPUTS["input_ids"], "values": [9, 2, 3, 4]}}
    second = loaded.request({"command": "prepare", "inputs": changed}, LIMIT)["outputs"]
    assert first["logits"]["sha256"] != second["logits"]["sha256"]


def test_an_error_of_the_runtime_is_an_answer_and_the_runner_lives(loaded: LocalRunner) -> None:
    outside = {**INPUTS, "input_ids": {**INPUTS["input_ids"], "values": [1000]}}
    with pytest.raises(RunnerError, match="could not prepare"):
        loaded.request({"command": "prepare", "inputs": outside}, LIMIT)
    assert loaded.request({"command": "prepare", "inputs": INPUTS}, LIMIT)["outputs"]


def test_ctrl_c_does_not_reach_a_runner(loaded: LocalRunner) -> None:
    # A terminal sends it to the foreground group; the schedule alone decides when runners end.
    assert os.getsid(loaded.process_id) != os.getsid(0)


def test_a_killed_runner_is_named_as_such(loaded: LocalRunner) -> None:
    os.kill(loaded.process_id, signal.SIGKILL)
    with pytest.raises(RunnerError, match=r"ended by SIGKILL.*memory"):
        loaded.request({"command": "prepare", "inputs": INPUTS}, LIMIT)


def test_closing_ends_the_process_and_may_be_repeated(loaded: LocalRunner) -> None:
    loaded.close()
    loaded.close()
    with pytest.raises(ProcessLookupError):
        os.kill(loaded.process_id, 0)


READY = 'print(\'{"event": "ready", "versions": {}}\', flush=True); '


@pytest.mark.parametrize(
    ("program", "limit", "message"),
    [
        ("import time; time.sleep(60)", 0.3, "did not answer 'start' within"),
        ("print('hello', flush=True)", LIMIT, "is no answer"),
        ("import sys; sys.exit('no such library')", LIMIT, "code 1: no such library"),
    ],
)
def test_a_runner_that_does_not_come_up(program: str, limit: float, message: str) -> None:
    with pytest.raises(RunnerError, match=message):
        LocalRunner([sys.executable, "-c", program], limit)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import time; time.sleep(60)", "did not answer 'load' within 1 s"),
        ("input(); print('[1]', flush=True)", "is no answer"),
        ("input(); import os; os.abort()", "ended by SIGABRT"),
    ],
)
def test_a_runner_that_goes_wrong_later(program: str, message: str) -> None:
    runner = LocalRunner([sys.executable, "-c", READY + program], LIMIT)
    try:
        with pytest.raises(RunnerError, match=message):
            runner.request({"command": "load"}, 1.0)
    finally:
        runner.close()


def test_the_matrix_product_runs() -> None:
    runner = Host().start("sgemm", LIMIT)
    try:
        runner.request({"command": "load", "model": "4x8x2", "threads": 1}, LIMIT)
        left = {"left": {"dtype": "float32", "shape": [4, 8], "values": [1.0, 2.0]}}
        answer = runner.request({"command": "prepare", "inputs": left}, LIMIT)
        assert answer["outputs"]["product"]["shape"] == [4, 2]
        # Values fill the shape in turn: every row is 1 2 1 2 ..., so every product row is equal.
        values = np.array(answer["outputs"]["product"]["values"]).reshape(4, 2)
        assert np.allclose(values, values[0])
    finally:
        runner.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_the_session_gets_the_threads_that_were_asked_for(threads: int) -> None:
    assert session_options(threads).intra_op_num_threads == threads
    # The session was opened with these options, not with others.
    options = SessionModel(tiny_model(), threads)._session.get_session_options()
    assert options.intra_op_num_threads == threads


def test_a_runner_starts_the_threads_that_were_asked_for(make_bundle: MakeBundle) -> None:
    model = Host().stage(make_bundle(), "onnx/model.onnx", [])
    started = {}
    for threads in (1, 4):
        runner = Host().start("onnx", LIMIT)
        assert isinstance(runner, LocalRunner)
        try:
            runner.request({"command": "load", "model": model, "threads": threads}, LIMIT)
            started[threads] = psutil.Process(runner.process_id).num_threads()
        finally:
            runner.close()
    # The calling thread computes too, so a session on four threads adds three.
    assert started[4] - started[1] == 3


PEAK_PROGRAM = """
import numpy, psutil
from runtime_bench.runners.sensors import peak_rss_bytes
before = peak_rss_bytes()
block = numpy.ones(25_000_000)
del block
print(before, peak_rss_bytes(), psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="VmHWM is Linux's")
def test_the_peak_of_memory_outlives_what_was_freed() -> None:
    command = [sys.executable, "-c", PEAK_PROGRAM]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    before, peak, present = (int(word) for word in printed.split())
    # 200 MB were taken and given back.
    assert peak - before > 180e6
    assert peak - present > 180e6


class Sleeper:
    """A model that takes 50 ms and no CPU."""

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        time.sleep(0.05)
        return inputs


def test_the_cpu_time_of_the_lead_in_is_not_its_wall_time() -> None:
    session = _Session(lambda _command: Sleeper())
    session.answer({"command": "load"})
    block = session.answer({"command": "block", "seconds": 0.01, "minimum_iterations": 1})
    assert len(block["lead_in_ns"]) == len(block["lead_in_cpu_ns"]) >= 3
    assert sum(block["lead_in_ns"]) >= 0.15e9
    assert sum(block["lead_in_cpu_ns"]) < sum(block["lead_in_ns"]) / 4


def test_the_host_is_found_and_says_what_it_is() -> None:
    (host,) = (device for device in find_devices() if device.name == "host")
    assert {"onnx", "sgemm"} <= host.targets()
    found = host.fingerprint()
    assert found.cores >= 1
    assert found.memory_bytes > 0
    assert not found.emulated
    assert host.snapshot().at <= host.snapshot().at
    with pytest.raises(InputError, match=r"no device pixel.*squeezebert-bench devices"):
        open_device("pixel")
    with pytest.raises(RunnerError, match="no runner for coreml"):
        host.start("coreml", LIMIT)


@pytest.mark.parametrize(
    ("wall", "steady"),
    [
        ([10, 10, 10, 10, 10, 10], True),
        ([20, 20, 20, 10, 10, 10], False),
        ([10, 10, 10, 10, 10], False),
        ([10, 10, 10, 10, 10, 10, 10], False),
        ([20, 20, 20, 10, 10, 10, 10, 99, 10], True),
    ],
)
def test_the_warm_up_rule(wall: list[int], steady: bool) -> None:
    assert is_steady(wall) is steady


def test_outputs_that_are_not_finite_are_said_to_be() -> None:
    described = describe_outputs({"logits": np.array([[1.0, np.nan]])})
    assert described["logits"]["finite"] is False
    assert described["logits"]["values"] == []
