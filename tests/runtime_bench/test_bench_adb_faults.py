"""Phones that fail in the middle of a run: what was measured stays, and nothing is left behind."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pytest
from adb_daemon.bench import GONE, ROUNDS, Bench, assert_says, fault, untouched
from adb_daemon.client import ADB
from adb_daemon.faults import (
    ANSWER,
    CALL,
    COMMAND,
    CUT,
    FLIP,
    FULL,
    HANG,
    KILL,
    PUSH,
    REQUEST,
    SAY,
    Fault,
)
from adb_daemon.phone import Phone

from runtime_bench import schedule
from runtime_bench.results import read_results

pytest_plugins = ["adb_daemon.fixtures"]
pytestmark = pytest.mark.skipif(
    ADB is None, reason="adb is not installed (Debian: apt-get install adb)"
)
BLOCK = '"command": "block"'


@dataclass(frozen=True)
class Lost:
    """The device or adb is lost in the middle: ``kept`` blocks stay, and --resume completes."""

    kept: int
    prepare: Callable[[Phone], object]
    says: Sequence[str] = (GONE, "--resume")


LOST = {
    "the cable is pulled in a push": Lost(0, fault(PUSH, CUT, "model.onnx")),
    "the cable is pulled in a block": Lost(2, fault(REQUEST, CUT, BLOCK, 3)),
    "the cable is pulled while it answers": Lost(3, fault(ANSWER, CUT, '"event": "block"', 4)),
    "the cable is pulled between two blocks": Lost(1, fault(COMMAND, CUT, "/proc/stat", 5)),
    "a question hangs in the middle": Lost(
        1, fault(COMMAND, HANG, "/proc/stat", 5), ("did not answer within 3 s.", "--resume")
    ),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", LOST)
def test_what_was_measured_is_kept(bench: Bench, name: str) -> None:
    lost = LOST[name]
    phone = bench.phone(prepare=lost.prepare)
    code, said = bench.run()
    assert phone.faults.happened()
    assert code == 1, said
    assert_says(said, (*lost.says, f"{lost.kept} finished blocks are kept in {bench.out}"))
    before = bench.results()
    assert len(before.blocks) == lost.kept
    assert not before.ends + before.failures
    code, said = bench.resume()
    assert code == 0, said
    assert bench.results().blocks[: lost.kept] == before.blocks
    assert bench.complete()
    assert untouched(phone)


@dataclass(frozen=True)
class Failed:
    """An artifact fails on the phone: it is out of the run, the matrix product goes on."""

    prepare: Callable[[Phone], object]
    says: Sequence[str]
    stage: str
    kept: int = 0


def prepared(outputs: str) -> str:
    return f'{{"event": "prepared", "first_inference_ns": 9, "outputs": {{"logits": {outputs}}}}}'


def take_permission(phone: Phone) -> None:
    """Nothing in /data/local/tmp can be executed any more when a runner is started."""

    def strip() -> None:
        for file in phone.temporary.glob("*/*"):
            file.chmod(0o644 if file.is_file() else 0o755)

    phone.faults.add(Fault(COMMAND, CALL, "exec ", None, call=strip))


OTHER = prepared('{"shape": [1, 3], "finite": true, "sha256": "0", "values": [9, -9, 9]}')
NOT_FINITE = prepared('{"shape": [1, 3], "finite": false, "sha256": "0", "values": []}')
FAILED = {
    "/data is full": Failed(
        fault(PUSH, FULL, "model.onnx", None), ("has no space left", "Free some"), "load"
    ),
    "a model arrives wrong every time": Failed(
        fault(PUSH, FLIP, "model.onnx", None),
        ("model.onnx arrived", "with other bytes, twice.", "another cable"),
        "load",
    ),
    "the runner ends with a code": Failed(
        fault(COMMAND, SAY, "exec ", code=3), ("ended with code 3",), "load"
    ),
    "the runner prints garbage": Failed(
        fault(ANSWER, SAY, '"event": "block"', text="\x00\xff%1"), ("which is no answer.",), "block"
    ),
    "the runner is killed by SIGSEGV": Failed(
        fault(REQUEST, KILL, BLOCK, 4, number=signal.SIGSEGV),
        ("was ended by SIGSEGV", "Try that artifact alone"),
        "block",
        kept=1,
    ),
    "memory runs out": Failed(
        fault(REQUEST, KILL, "warm_up", number=signal.SIGKILL),
        ("was ended by SIGKILL", "memory"),
        "warm-up",
    ),
    "outputs are not finite": Failed(
        fault(ANSWER, SAY, '"prepared"', text=NOT_FINITE),
        ("The output logits is not finite.", "squeezebert-export verify"),
        "warm-up",
    ),
    "outputs are others than this machine's": Failed(
        fault(ANSWER, SAY, '"prepared"', text=OTHER),
        ("away from this machine's", "nothing was measured.", "squeezebert-export verify"),
        "warm-up",
    ),
}


@pytest.mark.parametrize("name", FAILED)
def test_an_artifact_fails_alone(bench: Bench, name: str) -> None:
    failed = FAILED[name]
    phone = bench.phone(prepare=failed.prepare)
    code, said = bench.run()
    assert phone.faults.happened()
    assert code == 1, said
    results = bench.results()
    assert [(item.entry, item.stage) for item in results.failures] == [("e1", failed.stage)]
    assert_says(results.failures[0].reason, failed.says)
    blocks = [block.entry for block in results.blocks]
    assert (blocks.count("e1"), blocks.count("peak")) == (failed.kept, ROUNDS)
    assert results.ends
    assert untouched(phone)


def test_a_runner_that_hangs_is_ended_before_the_others_go_on(bench: Bench) -> None:
    # Stopped, it does not notice either that its input has ended.
    phone = bench.phone(prepare=fault(REQUEST, KILL, BLOCK, number=signal.SIGSTOP))
    running: list[str] = []
    look = Fault(REQUEST, CALL, BLOCK, 2, call=lambda: running.extend(phone.running()))
    phone.faults.add(look)
    code, said = bench.run("--step-limit", "6")
    assert code == 1, said
    results = bench.results()
    assert [(item.entry, item.stage) for item in results.failures] == [("e1", "block")]
    assert_says(results.failures[0].reason, ("did not answer 'block' within 6 s.", "--step-limit"))
    assert len(running) == 1
    assert [block.entry for block in results.blocks] == ["peak"] * ROUNDS
    assert untouched(phone)


def test_a_model_that_arrives_wrong_once_is_sent_again(bench: Bench) -> None:
    phone = bench.phone(prepare=fault(PUSH, FLIP, "model.onnx"))
    code, said = bench.run()
    assert code == 0, said
    assert len([path for path in phone.pushed if path.endswith("/model.onnx")]) == 2
    assert bench.complete()
    assert untouched(phone)


def test_nothing_can_be_executed(bench: Bench) -> None:
    phone = bench.phone(prepare=take_permission)
    # A run that goes on for ever without any entry is interrupted, so that it fails this test.
    interrupt = partial(os.kill, os.getpid(), signal.SIGINT)
    phone.faults.add(Fault(COMMAND, CALL, "dumpsys battery", 25, call=interrupt))
    code, said = bench.run()
    assert code == 1, said
    results = bench.results()
    assert [item.entry for item in results.failures] == ["e1", "peak"]
    assert_says(results.failures[0].reason, ("ended with code 126", "Permission denied"))
    assert untouched(phone)


def test_the_adb_server_is_killed(bench: Bench) -> None:
    kill = bench.server.end_own
    phone = bench.phone(prepare=fault(REQUEST, CALL, BLOCK, 3, call=kill))
    code, said = bench.run()
    assert code == 1, said
    assert_says(said, (f"{GONE}|The adb server cannot be reached", "2 finished blocks are kept"))
    bench.server.kill()
    bench.server.start()
    code, said = bench.resume()
    assert code == 0, said
    assert bench.complete()
    assert untouched(phone)


def test_an_interrupted_run_leaves_nothing(bench: Bench) -> None:
    interrupt = partial(os.kill, os.getpid(), signal.SIGINT)
    phone = bench.phone(prepare=fault(REQUEST, CALL, BLOCK, 3, call=interrupt))
    code, said = bench.run()
    assert code == 130, said
    assert "2 finished blocks are kept" in said
    assert untouched(phone)
    assert bench.resume()[0] == 0
    assert bench.complete()


@dataclass(frozen=True)
class Throttling:
    """How a phone slows down, and what tells it."""

    begins: Callable[[Phone], object]
    ends: Callable[[Phone], object]
    reason: str


THROTTLING = {
    "it computes more slowly": Throttling(
        lambda p: p.slow_down(2.5), lambda p: p.slow_down(1), "the matrix product took 150% longer"
    ),
    "its clocks drop": Throttling(
        lambda p: p.clocks(0.3), lambda p: p.clocks(0.6), "the fastest core ran 50% below"
    ),
    "its thermal status rises": Throttling(
        lambda p: p.thermal(status=3, celsius=90.0), lambda p: p.thermal(), "thermal status is 3"
    ),
}


def throttle(phone: Phone, how: Throttling, from_block: int, to_block: int | None) -> None:
    phone.clockwork = 1_000_000
    begins, ends = partial(how.begins, phone), partial(how.ends, phone)
    phone.faults.add(Fault(REQUEST, CALL, BLOCK, from_block, call=begins))
    if to_block is not None:
        phone.faults.add(Fault(REQUEST, CALL, BLOCK, to_block, call=ends))


@pytest.mark.parametrize("name", THROTTLING)
def test_throttling_is_waited_for(bench: Bench, name: str) -> None:
    # Two entries: block 5 is the first of round 2, and 8 is the second look while it cools.
    phone = bench.phone(prepare=lambda p: throttle(p, THROTTLING[name], 5, 8))
    code, said = bench.run("--blocks", "4", "--most-blocks", "4", "--pause-limit", "10")
    assert code == 0, said
    results = bench.results()
    assert [pause.recovered for pause in results.pauses] == [True]
    assert THROTTLING[name].reason in results.pauses[0].reason
    dropped = results.pauses[0].dropped
    assert {block.round for block in results.dropped_blocks} == {dropped}
    assert len({block.round for block in results.blocks} - {dropped}) == 4
    assert untouched(phone)


def test_throttling_that_does_not_end(bench: Bench) -> None:
    how = THROTTLING["its thermal status rises"]
    phone = bench.phone(prepare=lambda p: throttle(p, how, 5, None))
    code, said = bench.run("--blocks", "4", "--most-blocks", "4", "--pause-limit", "0.02")
    assert code == 0, said
    results = bench.results()
    assert [item.recovered for item in results.pauses] == [False] * schedule.MOST_PAUSES
    assert results.conditions[-1].conditions["thermal_status"] == 3
    assert len(results.blocks) >= 8
    assert untouched(phone)


def test_one_of_two_phones_is_lost(bench: Bench) -> None:
    lost = bench.phone(prepare=fault(REQUEST, CUT, BLOCK, 3))
    good = bench.phone()
    code, said = bench.run(device=f"adb:{lost.daemon.serial},adb:{good.daemon.serial}")
    assert code == 1, said
    files = {
        file.stem.rpartition("-")[2]: read_results(file) for file in bench.folder.glob("*.jsonl")
    }
    assert len(files[str(lost.daemon.port)].blocks) == 2
    assert files[str(good.daemon.port)].ends
    assert untouched(good)
