"""The device while it was measured: clocks and temperatures over time, slowdowns, battery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from runtime_bench.devices.base import BenchWarning
from runtime_bench.records import BlockRecord
from runtime_bench.results import Results

ALL_CORES = "all"
#: Codes of the warnings that tell how fixed a phone's clocks were.
CLOCK_WARNINGS = ("fixed-performance", "clocks-unread", "clocks-not-fixed")


@dataclass(frozen=True)
class Moment:
    """What the device told at one moment. ``mhz`` by cluster (median of its cores' running clocks),
    ``celsius`` by sensor; ``seconds`` since the run began."""

    seconds: float
    mhz: Mapping[str, float]
    celsius: Mapping[str, float]


@dataclass(frozen=True)
class RoundSpan:
    """When a round was measured, in seconds since the run began.

    ``dropped``: the device had slowed down, so that it counts for nothing.
    """

    length: int
    threads: int
    round: int
    start: float
    end: float
    dropped: bool = False


@dataclass(frozen=True)
class Pause:
    """The device slowed down and the run waited; round ``dropped`` was measured again."""

    seconds: float
    length: int
    threads: int
    dropped: int
    reason: str
    waited_s: float
    recovered: bool


@dataclass(frozen=True)
class Battery:
    """First and last value of the run; None where the device does not tell."""

    percent: tuple[float, float] | None
    celsius: tuple[float, float] | None
    charging: bool | None


@dataclass(frozen=True)
class ConditionsContent:
    """``thermal_status``: the highest that Android reported. ``clocks``: for the run's start, and
    each time that it went on, the code of CLOCK_WARNINGS that was recorded ("": none was)."""

    moments: tuple[Moment, ...] = ()
    rounds: tuple[RoundSpan, ...] = ()
    pauses: tuple[Pause, ...] = ()
    battery: Battery | None = None
    thermal_status: int | None = None
    clocks: tuple[str, ...] = ()


def conditions_content(results: Results) -> ConditionsContent:
    """Everything that the records tell of the device over time; empty where they tell nothing."""
    clusters = _clusters(results.run.device)
    began = datetime.fromisoformat(results.run.started)
    moments = [
        _moment(_since(began, record.at), record.conditions, clusters)
        for record in results.conditions
    ]
    for block in (*results.blocks, *results.dropped_blocks):
        start = _since(began, block.started)
        for seconds, seen in ((start, block.before), (start + _lasted(block), block.after)):
            if seen is not None:
                moments.append(_moment(seconds, seen, clusters))
    told = [item for item in moments if item.mhz or item.celsius]
    states = [record.conditions.get("thermal_status") for record in results.conditions]
    known = [state for state in states if state is not None]
    parts = [results.run.warnings, *(resume.warnings for resume in results.resumes)]
    return ConditionsContent(
        moments=tuple(sorted(told, key=lambda moment: moment.seconds)),
        rounds=_rounds(results.blocks, began, dropped=False)
        + _rounds(results.dropped_blocks, began, dropped=True),
        pauses=tuple(
            Pause(
                seconds=_since(began, record.at),
                length=record.length,
                threads=record.threads,
                dropped=record.dropped,
                reason=record.reason,
                waited_s=record.waited_s,
                recovered=record.recovered,
            )
            for record in results.pauses
        ),
        battery=_battery([record.conditions for record in results.conditions]),
        thermal_status=max(known, default=None),
        clocks=tuple(map(_clock_code, parts)),
    )


def throttled_rounds(
    blocks: Mapping[str, Sequence[BlockRecord]], length: int, threads: int
) -> list[BenchWarning]:
    """A warning where rounds of a case (blocks by entry) count although the device was slow."""
    reasons = {
        block.round: block.throttled for of in blocks.values() for block in of if block.throttled
    }
    if not reasons:
        return []
    rounds = "; ".join(f"round {number}: {reasons[number]}" for number in sorted(reasons))
    return [
        BenchWarning(
            "throttled",
            f"{length} tokens, {threads} thread{'' if threads == 1 else 's'}: the device had "
            f"slowed down and did not recover, and these rounds count all the same: {rounds}.",
            "Let it cool, and run again with a longer --pause-limit; trust the ratios rather than "
            "the latencies.",
        )
    ]


def _clock_code(warnings: Sequence[BenchWarning]) -> str:
    codes = {warning.code for warning in warnings}
    return next((code for code in CLOCK_WARNINGS if code in codes), "")


def _clusters(device: Mapping[str, Any]) -> Mapping[str, str]:
    """The cluster's name by core."""
    return {
        str(cpu): cluster["name"]
        for cluster in device.get("clusters", ())
        for cpu in cluster["cpus"]
    }


def _moment(seconds: float, seen: Mapping[str, Any], clusters: Mapping[str, str]) -> Moment:
    by_cluster: dict[str, list[int]] = {}
    for cpu, khz in (seen.get("khz") or {}).items():
        by_cluster.setdefault(clusters.get(str(cpu), ALL_CORES), []).append(khz)
    celsius = {str(name): float(value) for name, value in (seen.get("celsius") or {}).items()}
    if seen.get("battery_celsius") is not None:
        celsius.setdefault("battery", float(seen["battery_celsius"]))
    mhz = {name: float(np.median(values)) / 1000 for name, values in by_cluster.items()}
    return Moment(round(seconds, 3), mhz, celsius)


def _rounds(
    blocks: Sequence[BlockRecord], began: datetime, *, dropped: bool
) -> tuple[RoundSpan, ...]:
    spans: dict[tuple[int, int, int], list[float]] = {}
    seen = set()
    for block in blocks:
        # While the run waits it looks at the device with more blocks of a round that was dropped.
        this = (block.length, block.threads, block.round, block.entry)
        if this in seen:
            continue
        seen.add(this)
        start = _since(began, block.started)
        span = spans.setdefault((block.length, block.threads, block.round), [start, start])
        span[0], span[1] = min(span[0], start), max(span[1], start + _lasted(block))
    return tuple(RoundSpan(*place, start, end, dropped) for place, (start, end) in spans.items())


def _battery(seen: Sequence[Mapping[str, Any]]) -> Battery | None:
    percent, celsius, charging = (
        [item[name] for item in seen if item.get(name) is not None]
        for name in ("battery_percent", "battery_celsius", "charging")
    )
    if not percent and not celsius and not charging:
        return None
    return Battery(
        percent=(percent[0], percent[-1]) if percent else None,
        celsius=(celsius[0], celsius[-1]) if celsius else None,
        charging=any(charging) if charging else None,
    )


def _since(began: datetime, moment: str) -> float:
    return (datetime.fromisoformat(moment) - began) / timedelta(seconds=1)


def _lasted(block: BlockRecord) -> float:
    return (sum(block.lead_in_ns) + sum(block.wall_ns)) / 1e9
