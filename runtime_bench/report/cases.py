"""One case of a report: what was measured of every artifact at one length and thread count."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from runtime_bench.devices.base import BenchWarning
from runtime_bench.plan import compared
from runtime_bench.records import BlockRecord, CheckRecord, WarmUpRecord
from runtime_bench.report.conditions import throttled_rounds
from runtime_bench.report.instructions import (
    InstructionRatio,
    InstructionRow,
    instruction_ratios,
    instruction_rows,
)
from runtime_bench.report.remarks import disagreement, grouped, wide_intervals
from runtime_bench.results import Results
from runtime_bench.samples import NANOSECONDS, counted_blocks, cpu, wall
from runtime_bench.stability import Evidence, Finding, instability
from runtime_bench.statistics import (
    Interval,
    Ratio,
    Summary,
    median_interval,
    ratio,
    summarise,
)

_N = TypeVar("_N", int, float)


@dataclass(frozen=True)
class EntryContent:
    """An artifact as reports name it. ``accuracy`` is as the bundle's manifest holds it."""

    id: str
    label: str
    roles: tuple[str, ...]
    source: str
    family: str
    trained: bool
    recipe: str
    flavour: str
    precision: str
    target: str
    path: str
    folder: str
    bytes: int
    sha256: str
    accuracy: Mapping[str, Any] | None
    load_ms: float | None
    layers: int | None = None
    hidden_size: int | None = None


@dataclass(frozen=True)
class Row:
    """One entry in one case. Times in ms. ``share_of_peak``: nominal FLOPs per second over the
    fp32 matrix-product rate of the same run (above 1 is possible for int8). ``energy_mj`` is of one
    inference, by the device's own meter (median over the blocks); ``pss_bytes`` shares common
    pages out among their processes. What the device did not tell is None."""

    entry: EntryContent
    wall: Summary
    cpu: Summary
    wall_interval: Interval | None
    first_ms: float | None
    peak_memory_bytes: int
    model_memory_bytes: int | None
    gflops: float
    share_of_peak: float | None
    cosine: float | None
    reference: str | None
    pss_bytes: int | None = None
    energy_mj: float | None = None


@dataclass(frozen=True)
class RatioRow:
    """How many times as fast as ``baseline`` the ``subject`` is (labels).

    ``ratio`` is of wall times; ``cpu_ratio``, of CPU times, holds better on a busy machine.
    """

    subject: str
    baseline: str
    ratio: Ratio
    cpu_ratio: Ratio


@dataclass(frozen=True)
class CaseContent:
    """One length and thread count. ``ratios``: every subject against every baseline; ``ladder``:
    every entry against the first baseline. ``peak_gflops`` is of the fp32 matrix product."""

    length: int
    threads: int
    rows: tuple[Row, ...]
    ratios: tuple[RatioRow, ...]
    ladder: tuple[RatioRow, ...]
    peak_gflops: float | None
    instructions: tuple[InstructionRow, ...] = ()
    instruction_ratios: tuple[InstructionRatio, ...] = ()


def build_case(
    results: Results, entries: Mapping[str, EntryContent], length: int, threads: int
) -> tuple[CaseContent, list[BenchWarning]]:
    """One case and the warnings about it; an entry without samples has no row."""
    blocks = counted_blocks(results, length, threads)
    where = f"{length} tokens, {threads} thread{'' if threads == 1 else 's'}"
    flops = {item["id"]: item["nominal_flops"] for item in results.run.entries}
    findings: list[tuple[str, Finding]] = []
    peak = None
    for item in results.run.entries:
        if "peak" in item["roles"] and item["id"] in blocks:
            peak = flops[item["id"]]["any"] / summarise(wall(blocks[item["id"]])).median / 1e6
    rows = []
    for entry_id, entry in entries.items():
        if entry_id not in blocks:
            continue
        row = _row(results, entry, blocks[entry_id], flops[entry_id][str(length)], peak)
        rows.append(row)
        this = (entry_id, length, threads)
        # None: it was not watched.
        steady = all(
            item.steady is not False for item in results.warm_ups if _case_of(item) == this
        )
        found = instability(
            Evidence(
                wall=wall(blocks[entry_id]),
                cpu=cpu(blocks[entry_id]),
                threads=threads,
                steady=steady,
                other_load=_told(block.other_load for block in blocks[entry_id]),
                stolen=_told(block.stolen for block in blocks[entry_id]),
            )
        )
        found += disagreement(entry.precision, row.reference, row.cosine)
        findings += [(entry.label, item) for item in found]
    present = [row.entry for row in rows]
    ratios = _ratios(blocks, compared(present))
    first = next((entry for entry in present if "baseline" in entry.roles), None)
    ladder = _ratios(blocks, [(entry, first) for entry in present if first and entry is not first])
    findings += wide_intervals(
        [(f"{row.subject} against {row.baseline}", row.ratio) for row in ratios]
    )
    labels = {entry.id: entry.label for entry in entries.values()}
    counted = instruction_rows(results, labels, length, threads)
    roles = {entry.id: entry.roles for entry in entries.values()}
    case = CaseContent(
        length=length,
        threads=threads,
        rows=tuple(rows),
        ratios=ratios,
        ladder=ladder,
        peak_gflops=peak,
        instructions=counted,
        instruction_ratios=instruction_ratios(counted, roles),
    )
    return case, [*throttled_rounds(blocks, length, threads), *grouped(findings, where)]


def _row(
    results: Results,
    entry: EntryContent,
    blocks: Sequence[BlockRecord],
    flops: int,
    peak_gflops: float | None,
) -> Row:
    threads, this = blocks[0].threads, _case_of(blocks[0])
    times = summarise(wall(blocks))
    gflops = flops / times.median / 1e6
    loads = [item for item in results.loads if (item.entry, item.threads) == (entry.id, threads)]
    before = _told(record.rss_before_bytes for record in loads)
    first = _told(item.first_inference_ns for item in results.warm_ups if _case_of(item) == this)
    checks = [item for item in results.checks if _case_of(item) == this]
    labels = {item["id"]: item["label"] for item in results.run.entries}
    peak_memory = max(block.peak_rss_bytes for block in blocks)
    return Row(
        entry=entry,
        wall=times,
        cpu=summarise(cpu(blocks)),
        wall_interval=median_interval(wall(blocks)),
        first_ms=float(np.median(first)) * NANOSECONDS if first else None,
        peak_memory_bytes=peak_memory,
        model_memory_bytes=peak_memory - min(before) if before else None,
        gflops=gflops,
        share_of_peak=gflops / peak_gflops if peak_gflops else None,
        cosine=checks[-1].cosine if checks else None,
        reference=labels[checks[-1].reference] if checks else None,
        pss_bytes=max(_told(block.pss_bytes for block in blocks), default=None),
        energy_mj=_energy(blocks),
    )


def _told(values: Iterable[_N | None]) -> list[_N]:
    """Without what the device did not tell."""
    return [value for value in values if value is not None]


def _energy(blocks: Sequence[BlockRecord]) -> float | None:
    """Millijoules of one inference: the meter ran over lead-in and timed runs alike."""
    found = [
        block.energy_uj / (len(block.lead_in_ns) + len(block.wall_ns)) / 1000
        for block in blocks
        if block.energy_uj is not None
    ]
    return float(np.median(found)) if found else None


def _ratios(
    blocks: Mapping[str, Sequence[BlockRecord]],
    pairs: Sequence[tuple[EntryContent, EntryContent]],
) -> tuple[RatioRow, ...]:
    """A row for each pair (subject, baseline) that has a round in common."""
    rows = []
    for subject, baseline in pairs:
        one, other = blocks[baseline.id], blocks[subject.id]
        if {block.round for block in one} & {block.round for block in other}:
            times = ratio(wall(one), wall(other)), ratio(cpu(one), cpu(other))
            rows.append(RatioRow(subject.label, baseline.label, *times))
    return tuple(rows)


def _case_of(record: BlockRecord | WarmUpRecord | CheckRecord) -> tuple[str, int, int]:
    return record.entry, record.length, record.threads
