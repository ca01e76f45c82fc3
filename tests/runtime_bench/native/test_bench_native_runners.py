"""The native runners beside the Python ones: one contract, the same answers."""

import hashlib
import mmap
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from native_processes import (
    LIMIT,
    inputs,
    load,
    needs_native,
    prepare,
    start,
)
from tiny_bundles import tiny_model
from tiny_programs import tiny_program

from runtime_bench.devices.host import Host
from runtime_bench.errors import RunnerError
from runtime_bench.native import places
from runtime_bench.runners import protocol
from runtime_bench.runners.client import Answer, LocalRunner
from runtime_bench.runners.executorch_program import ProgramModel
from runtime_bench.runners.native import write_peak_model

SOURCES = Path(places.__file__).parent / "src"
pytestmark = needs_native


def whole_conversation(runner: Any, path: Path) -> list[Answer]:
    return [
        load(runner, path),
        prepare(runner),
        runner.request({"command": "warm_up", "limit_s": 5}, LIMIT),
        runner.request({"command": "block", "seconds": 0.01, "minimum_iterations": 7}, LIMIT),
    ]


def shape_of(value: Any) -> Any:
    """The fields and types of an answer, without its figures."""
    if isinstance(value, Mapping):
        return {key: shape_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])] if value else []
    return type(value).__name__


def test_every_answer_has_the_fields_and_types_of_the_python_runner(
    runner: LocalRunner, target: str, models: Mapping[str, Path]
) -> None:
    python = Host().start(target, LIMIT)
    try:
        expected = whole_conversation(python, models[target])
        assert set(runner.versions) >= set(python.versions) & {"onnxruntime", "executorch"}
        assert all(
            runner.versions[name] == python.versions[name]
            for name in (set(runner.versions) & set(python.versions))
        )
    finally:
        python.close()
    found = whole_conversation(runner, models[target])
    for ours, theirs in zip(found, expected, strict=True):
        extra = {"energy_uj"} if ours["event"] == "block" else set()
        assert set(ours) == set(theirs) | extra
        assert {key: shape_of(ours[key]) for key in theirs} == shape_of(theirs)
    # The figures are of this run: positive times, as many as there were iterations.
    block = found[-1]
    assert len(block["wall_ns"]) == len(block["cpu_ns"]) >= 7
    assert len(block["lead_in_ns"]) == len(block["lead_in_cpu_ns"]) >= 1
    assert sum(block["lead_in_ns"]) < sum(found[2]["wall_ns"]) + 10**10
    assert min(block["wall_ns"]) > 0
    assert len(found[2]["wall_ns"]) >= 2 * protocol.WARM_UP_WINDOW
    assert found[0]["peak_rss_bytes"] >= found[0]["rss_before_bytes"] > 10**6
    assert block["energy_uj"] is None


def test_outputs_equal_those_of_the_python_runner(
    loaded: LocalRunner, target: str, models: Mapping[str, Path]
) -> None:
    python = Host().start(target, LIMIT)
    try:
        load(python, models[target])
        for given in (inputs(), inputs(64), inputs(1, values=[7])):
            theirs = prepare(python, given)["outputs"]["logits"]
            ours = prepare(loaded, given)["outputs"]["logits"]
            assert ours["shape"] == theirs["shape"] == [1, 3]
            assert ours["finite"] is True
            assert np.allclose(ours["values"], theirs["values"], atol=1e-5, rtol=0)
            exact = np.array(ours["values"], dtype=np.float32)
            assert ours["sha256"] == hashlib.sha256(exact.tobytes()).hexdigest()
    finally:
        python.close()
    other = prepare(loaded, inputs(values=[9]))["outputs"]["logits"]
    assert not np.allclose(ours["values"], other["values"], atol=1e-5)


def test_a_wrong_answer_shows(target: str, tmp_path: Path) -> None:
    # The comparison above would mean nothing if other weights gave the same.
    path = tmp_path / ("model.pte" if target == "executorch" else "model.onnx")
    runner = start(target)
    try:
        values = []
        for scale in (1.0, 1.001):
            content = tiny_model(scale) if target == "onnx" else tiny_program(weight_scale=scale)
            path.write_bytes(content)
            load(runner, path)
            values.append(prepare(runner)["outputs"]["logits"]["values"])
        assert not np.allclose(values[0], values[1], atol=1e-5, rtol=0)
    finally:
        runner.close()


def test_infinite_outputs_are_said_to_be_so(target: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    scale = 3e38
    path.write_bytes(tiny_model(scale) if target == "onnx" else tiny_program(weight_scale=scale))
    runner = start(target)
    try:
        load(runner, path)
        logits = prepare(runner)["outputs"]["logits"]
        assert (logits["finite"], logits["values"]) == (False, [])
    finally:
        runner.close()


@pytest.mark.parametrize("pooled", [True, False])
def test_buckets_pad_and_cut_back_as_the_python_runner_does(tmp_path: Path, pooled: bool) -> None:
    path = tmp_path / "model_buckets.pte"
    path.write_bytes(tiny_program(pooled=pooled, buckets=(4, 8)))
    theirs = ProgramModel(path, 1)
    ours = start("executorch")
    try:
        load(ours, path)
        for length in (3, 4, 5, 8):
            found = prepare(ours, inputs(length))["outputs"]["logits"]
            wanted = theirs.run(protocol.input_arrays(inputs(length)))["logits"]
            assert found["shape"] == list(wanted.shape) == ([1, 3] if pooled else [1, length, 3])
            assert np.allclose(found["values"], wanted.reshape(-1), atol=1e-5, rtol=0)
        with pytest.raises(RunnerError, match="9 tokens are too many: the program takes 1 to 8"):
            prepare(ours, inputs(9))
    finally:
        ours.close()


def test_the_matrix_product_runs(tmp_path: Path) -> None:
    path = tmp_path / "peak.onnx"
    write_peak_model(path, (4, 8, 2))
    runner = start("sgemm")
    try:
        load(runner, path)
        left = {"left": {"dtype": "float32", "shape": [4, 8], "values": [1.0, 2.0]}}
        product = prepare(runner, left)["outputs"]["product"]
        # Values fill the shape in turn: every row is 1 2 1 2 ..., so every product row is equal.
        values = np.array(product["values"]).reshape(4, 2)
        assert np.allclose(values, values[0])
    finally:
        runner.close()


def test_the_threads_are_those_asked_for(
    runner: LocalRunner, target: str, models: Mapping[str, Path]
) -> None:
    counted = {}
    for threads in (1, 4, 2):
        load(runner, models[target], threads)
        prepare(runner)
        counted[threads] = psutil.Process(runner.process_id).num_threads()
    # The calling thread computes too; ONNX Runtime has another one that only waits.
    idle = counted[1] - 1
    assert counted == {threads: threads + idle for threads in (1, 2, 4)}
    assert idle <= 1
    with pytest.raises(RunnerError, match="1 thread or more, not on 0"):
        load(runner, models[target], 0)


def test_every_thread_is_bound_to_the_cores_asked_for(
    runner: LocalRunner, target: str, models: Mapping[str, Path]
) -> None:
    usable = psutil.Process().cpu_affinity()
    last = usable[-1]
    assert load(runner, models[target], 2, cpus=[last])["cpus_got"] == [last]
    process = psutil.Process(runner.process_id)
    bound = [psutil.Process(thread.id).cpu_affinity() for thread in process.threads()]
    assert len(bound) >= 2
    assert all(cores == [last] for cores in bound)
    with pytest.raises(RunnerError, match=r"CPU 1000.*Choose among"):
        load(runner, models[target], 2, cpus=[1000])
    # Not asked for any more: every core again.
    assert load(runner, models[target], 2, cpus=[])["cpus_got"] == usable


def test_a_cold_load_drops_the_file_and_says_what_stayed(
    runner: LocalRunner, target: str, models: Mapping[str, Path]
) -> None:
    path = models[target]
    assert "cached_bytes" not in load(runner, path)
    # Pages that a process has mapped cannot be dropped.
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[::1024]) > 0
        kept = load(runner, path, cold=True)["cached_bytes"]
    assert kept >= path.stat().st_size
    if load(runner, path, cold=True)["cached_bytes"]:
        pytest.skip("this file system lives in memory, or does not tell")
    assert prepare(runner)["outputs"]["logits"]["finite"] is True


def test_a_cold_load_drops_the_weights_beside_the_model(tmp_path: Path) -> None:
    path, beside = tmp_path / "model.onnx", tmp_path / "model.onnx.data"
    path.write_bytes(tiny_model())
    beside.write_bytes(bytes(1 << 20))
    runner = start("onnx")
    try:
        with beside.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=1) as mapped:
            assert sum(mapped[::1024]) == 0
            assert load(runner, path, cold=True)["cached_bytes"] >= 1 << 20
    finally:
        runner.close()


def test_energy_is_current_times_voltage_times_time(loaded: LocalRunner, tmp_path: Path) -> None:
    current, voltage = tmp_path / "current_now", tmp_path / "voltage_now"
    current.write_text("-500000\n", encoding="ascii")
    voltage.write_text("4000000\n", encoding="ascii")
    prepare(loaded)
    power = {"current_ua": str(current), "voltage_uv": str(voltage)}
    command = {"command": "block", "seconds": 0.3, "minimum_iterations": 1}
    begun = time.monotonic()
    block = loaded.request({**command, "power": power}, LIMIT)
    longest = time.monotonic() - begun
    # 2 W for as long as the block took: at least the inferences, at most the whole request.
    shortest = (sum(block["lead_in_ns"]) + sum(block["wall_ns"])) * 1e-9
    assert 2e6 * shortest <= block["energy_uj"] <= 2e6 * longest
    voltage.write_text("8000000\n", encoding="ascii")
    doubled = loaded.request({**command, "power": power}, LIMIT)
    shortest = (sum(doubled["lead_in_ns"]) + sum(doubled["wall_ns"])) * 1e-9
    assert doubled["energy_uj"] >= 4e6 * shortest
    voltage.unlink()
    assert loaded.request({**command, "power": power}, LIMIT)["energy_uj"] is None


def test_counting_changes_nothing(loaded: LocalRunner) -> None:
    before = prepare(loaded)["outputs"]
    counted = loaded.request({"command": "count", "inferences": 3}, LIMIT)
    assert counted == {"event": "counted"}
    assert prepare(loaded)["outputs"] == before


def test_the_rules_are_those_of_the_python_runner() -> None:
    source = "".join((SOURCES / name).read_text() for name in ("session.cpp", "arrays.cpp"))
    found = {
        name: float(value.replace("'", ""))
        for name, value in re.findall(r"constexpr \w+ (k\w+) = ([\d'.]+);", source)
    }
    assert found["kWarmUpWindow"] == protocol.WARM_UP_WINDOW
    assert found["kWarmUpTolerance"] == protocol.WARM_UP_TOLERANCE
    assert found["kWarmUpNs"] == protocol.WARM_UP_SECONDS * 1e9
    assert found["kLeadInNs"] == protocol.LEAD_IN_SECONDS * 1e9
    assert found["kOutputValues"] == protocol.OUTPUT_VALUES


def test_onnx_runtime_reports_to_nobody(
    tmp_path: Path, models: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its telemetry leaves a database in the home folder, on a phone too."""
    home = tmp_path / "home"
    home.mkdir()
    # Where a variable names a CI service, it would keep quiet by itself.
    for name in os.environ:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    one = start("onnx")
    load(one, models["onnx"])
    one.close()
    assert list(home.iterdir()) == []
    # What it is like where nobody says no.
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    other = start("onnx")
    load(other, models["onnx"])
    other.close()
    assert list(home.rglob("onnxruntime.db"))
