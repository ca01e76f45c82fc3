"""What a report may say of clocks, throttled rounds and cold starts: only what was recorded."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from simulated_runs import PHONE, STARTED, Simulation, entry, simulate

from runtime_bench.devices.base import BenchWarning
from runtime_bench.records import LoadRecord, ResumeRecord, StartRecord, WarmUpRecord
from runtime_bench.report.base import formats
from runtime_bench.report.content import Content, build_content
from runtime_bench.report.text import cold_starts, device_facts
from runtime_bench.results import Results

FORMATS = ("terminal", "markdown", "html")
LEFT = "the file had left the system's page cache"
OURS = entry("e1")
RUN = simulate(Simulation([OURS], {"e1": 20.0, "peak": 6.0}))


def warned(code: str) -> tuple[BenchWarning, ...]:
    return (BenchWarning(code, "It.", "So."),) if code else ()


def mode(results: Results) -> str:
    return dict(device_facts(build_content(results))).get("fixed-performance mode", "")


def flat(content: Content, name: str) -> str:
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", formats()[name].render(content), flags=re.S)
    return re.sub(r"\s+", " ", text.replace("&#x27;", "'"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "on, and read back"),
        ("stay-awake", "on, and read back"),
        ("fixed-performance", "the phone has none"),
        ("clocks-unread", "on, but the clocks could not be read back"),
        ("clocks-not-fixed", "taken, but the clocks kept their limits"),
    ],
)
def test_the_fixed_performance_mode_is_what_the_warnings_say(code: str, words: str) -> None:
    assert mode(replace(RUN, run=replace(RUN.run, warnings=warned(code)))) == words


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (("", ""), "on, and read back"),
        (("", "fixed-performance"), "on, and read back; after an interruption: the phone has none"),
        (
            ("clocks-unread", "", ""),
            "on, but the clocks could not be read back; after an interruption: on, and read back",
        ),
    ],
)
def test_every_part_of_an_interrupted_run_tells_its_own(codes: Sequence[str], words: str) -> None:
    first, *others = codes
    resumes = tuple(ResumeRecord(STARTED, warned(code)) for code in others)
    run = replace(RUN.run, warnings=warned(first))
    assert mode(replace(RUN, run=run, resumes=resumes)) == words


@pytest.mark.parametrize("device", [{"kind": "host"}, {"emulated": True}])
def test_devices_without_that_mode_are_not_said_to_have_it(device: dict[str, Any]) -> None:
    assert mode(replace(RUN, run=replace(RUN.run, device={**PHONE, **device}))) == ""


@pytest.mark.parametrize("name", FORMATS)
def test_rounds_that_count_although_the_device_was_slow_are_named(name: str) -> None:
    blocks = tuple(
        replace(block, throttled="the clock fell") if block.round in (3, 7) else block
        for block in RUN.blocks
    )
    text = flat(build_content(replace(RUN, blocks=blocks)), name)
    assert "128 tokens, 1 thread: the device had slowed down and did not recover" in text
    assert "round 3: the clock fell; round 7: the clock fell." in text
    assert "did not recover" not in flat(build_content(RUN), name)


def test_blocks_while_the_run_waited_do_not_lengthen_the_round() -> None:
    first = next(block for block in RUN.blocks if block.entry == "peak")
    later = replace(first, started=STARTED.replace(":05.000", ":45.000"))
    dropped = replace(RUN, blocks=(), dropped_blocks=(first, later))
    (span,) = build_content(dropped).conditions.rounds
    assert span.dropped
    assert span.end < 1


def starts(cold: Sequence[int | None]) -> Results:
    found = [
        StartRecord("e1", 128, 1, place, True, 10**8, 10**8, cached)
        for place, cached in enumerate(cold)
    ]
    found.append(StartRecord("e1", 128, 1, 0, False, 10**7, 10**8))
    return replace(RUN, starts=tuple(found))


@pytest.mark.parametrize("name", FORMATS)
def test_a_start_is_called_cold_only_where_it_was(name: str) -> None:
    assert LEFT in flat(build_content(starts([0, 0])), name)
    warm = flat(build_content(starts([0, 12_345_678])), name)
    assert LEFT not in warm
    assert "not fully cold" in warm
    assert "12.3 MB" in warm
    for unknown in ([None, None], [0, None]):
        text = flat(build_content(starts(unknown)), name)
        assert LEFT not in text
        assert "not known" in text


def test_what_stayed_is_told_even_where_some_starts_do_not_tell() -> None:
    (row,) = build_content(starts([None, 5_000_000])).starts
    assert row.cached_bytes == 5_000_000
    (warm,) = build_content(starts([])).starts
    assert cold_starts([warm]) == ""


def test_what_the_device_did_not_tell_is_left_out() -> None:
    silent = replace(
        RUN,
        loads=(LoadRecord("e1", 1, None, None, None, {}),),
        warm_ups=(WarmUpRecord("e1", 128, 1, None, None, (), {}),),
        blocks=tuple(replace(block, other_load=None, stolen=None) for block in RUN.blocks),
    )
    content = build_content(silent)
    (row,) = content.cases[0].rows
    assert (row.entry.load_ms, row.first_ms) == (None, None)
    assert row.model_memory_bytes is None
    assert row.peak_memory_bytes == 300_000_000
    assert content.warnings == ()
    for name in FORMATS:
        assert "20." in flat(content, name)
