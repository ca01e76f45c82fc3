"""What a run that is cut short leaves on a phone, through the real adb client."""

import os
import signal
from functools import partial

import pytest
from adb_daemon.bench import Bench, assert_says, fault, untouched
from adb_daemon.client import ADB
from adb_daemon.faults import CALL, COMMAND, CUT, REQUEST

from runtime_bench.devices.base import open_device

pytest_plugins = ["adb_daemon.fixtures"]
pytestmark = pytest.mark.skipif(
    ADB is None, reason="adb is not installed (Debian: apt-get install adb)"
)
BLOCK = '"command": "block"'


@pytest.mark.parametrize("command", ["svc power", "mode-enabled true", "dumpsys battery"])
def test_a_run_that_is_interrupted_while_it_gets_ready_leaves_nothing(
    bench: Bench, command: str
) -> None:
    interrupt = partial(os.kill, os.getpid(), signal.SIGINT)
    phone = bench.phone(prepare=fault(COMMAND, CALL, command, call=interrupt))
    code, said = bench.run()
    assert phone.faults.happened()
    assert code == 130, said
    assert "may keep" not in said
    assert untouched(phone)


def test_a_phone_that_is_lost_keeps_what_is_said(bench: Bench) -> None:
    phone = bench.phone(prepare=fault(REQUEST, CUT, BLOCK, 3))
    code, said = bench.run()
    assert code == 1, said
    (folder,) = phone.left_behind()
    for command in (f"'rm -rf /data/local/tmp/{folder}'", "mode-enabled false'", "settings delete"):
        assert command in said
    assert bench.resume()[0] == 0
    assert untouched(phone)


def test_a_phone_that_another_run_measures_is_left_to_it(bench: Bench) -> None:
    phone = bench.phone()
    other = open_device(f"adb:{phone.daemon.serial}")
    other.begin()
    left = phone.left_behind()
    code, said = bench.run()
    assert code == 1, said
    assert_says(said, ("Another run measures the phone", "Wait until it has ended."))
    assert phone.left_behind() == left
    assert phone.setting("fixed-performance") == "true"
    assert not phone.pushed
    other.end()
    assert bench.run()[0] == 0
    assert untouched(phone)
