"""The gates of phones: every limit, from both sides."""

from dataclasses import replace
from typing import Any

import pytest

from runtime_bench.adb.phone_gates import PhoneState, phone_warnings
from runtime_bench.devices.base import Conditions

CALM = PhoneState(
    serial="1A2B3C",
    conditions=Conditions(
        khz={"0": 1803000},
        thermal_status=0,
        battery_percent=80.0,
        battery_celsius=27.0,
        charging=False,
        screen_on=True,
    ),
    cores=8,
    emulated=False,
    fixed=frozenset(),
    limit_khz={0: 1803000, 7: 2802000},
    maximum_khz={0: 1803000, 7: 2802000},
    other_load=0.1,
    free_memory_bytes=4_000_000_000,
)


def found(state: PhoneState, threads: int = 1, memory: int = 10**8) -> dict[str, bool]:
    """Whether each warning blocks, by its code."""
    return {item.code: item.blocking for item in phone_warnings(state, (threads,), memory)}


def now(**changes: Any) -> PhoneState:
    return replace(CALM, conditions=replace(CALM.conditions, **changes))


def test_a_calm_phone_has_no_warnings() -> None:
    assert found(CALM) == {}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (now(screen_on=False), {"screen-off": True}),
        (now(battery_percent=25.0), {}),
        (now(battery_percent=24.9), {"battery-low": True}),
        (now(battery_celsius=34.9), {}),
        (now(battery_celsius=35.0), {"battery-hot": False}),
        (now(battery_celsius=39.9), {"battery-hot": False}),
        (now(battery_celsius=40.0), {"battery-hot": True}),
        (now(charging=True), {"charging": False}),
        (now(thermal_status=1), {"thermal": False}),
        (now(thermal_status=2), {"thermal": True}),
        (now(thermal_status=6), {"thermal": True}),
        (replace(CALM, other_load=0.25), {}),
        (replace(CALM, other_load=0.26), {"other-load": False}),
        (replace(CALM, limit_khz={0: 1803000, 7: 2801000}), {"clocks-capped": False}),
        (replace(CALM, limit_khz={0: 1803000, 7: 2102000}), {"clocks-capped": False}),
        (replace(CALM, limit_khz={0: 1803000, 7: 2101000}), {"clocks-capped": True}),
        # Fixed-performance mode holds the clocks down on purpose.
        (replace(CALM, limit_khz={0: 900000, 7: 1400000}, fixed=frozenset({0, 7})), {}),
        # It left the big core as it was: overheated.
        (
            replace(CALM, limit_khz={0: 900000, 7: 1709000}, fixed=frozenset({0})),
            {"clocks-capped": True},
        ),
        (replace(CALM, emulated=True), {"emulator": False}),
    ],
)
def test_limits(state: PhoneState, expected: dict[str, bool]) -> None:
    assert found(state) == expected


def test_threads_and_memory() -> None:
    assert found(CALM, threads=8) == {}
    assert found(CALM, threads=9) == {"threads-above-cores": False}
    assert found(CALM, memory=1_600_000_000) == {}
    assert found(CALM, memory=1_600_000_001) == {"memory": False}


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (now(screen_on=None), "screen-unknown"),
        (now(battery_percent=None), "battery-level-unknown"),
        (now(battery_celsius=None), "battery-temperature-unknown"),
        (now(thermal_status=None), "thermal-unknown"),
        (replace(CALM, other_load=None), "other-load-unknown"),
        (replace(CALM, limit_khz={}), "clocks-unknown"),
        (replace(CALM, maximum_khz={}), "clocks-unknown"),
    ],
)
def test_what_a_phone_does_not_tell_is_said_and_does_not_block(
    state: PhoneState, code: str
) -> None:
    assert found(state) == {code: False}


def test_a_phone_that_tells_nothing() -> None:
    silent = PhoneState("1A2B3C", Conditions(), 0, False, frozenset(), {}, {}, None, None)
    warnings = phone_warnings(silent, (4,), 10**12)
    assert [item.code for item in warnings] == [
        "screen-unknown",
        "battery-level-unknown",
        "battery-temperature-unknown",
        "thermal-unknown",
        "clocks-unknown",
        "other-load-unknown",
    ]
    assert not any(item.blocking for item in warnings)


def test_every_warning_has_a_next_step() -> None:
    worst = PhoneState(
        "1A2B3C",
        Conditions({}, {}, 3, 5.0, 45.0, True, False),
        cores=2,
        emulated=True,
        fixed=frozenset(),
        limit_khz={0: 1},
        maximum_khz={0: 2},
        other_load=2.0,
        free_memory_bytes=1,
    )
    warnings = phone_warnings(worst, (4,), 10**9)
    assert len(warnings) == 10
    assert all(item.message.endswith(".") and len(item.remedy) > 10 for item in warnings)
