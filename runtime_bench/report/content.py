"""What a report says, computed once from the results; the formats only lay it out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from runtime_bench.devices.base import BenchWarning
from runtime_bench.report.remarks import disagreement, grouped, wide_intervals
from runtime_bench.results import BlockRecord, CheckRecord, Results, WarmUpRecord
from runtime_bench.stability import Evidence, Finding, instability
from runtime_bench.statistics import (
    Blocks,
    Interval,
    Ratio,
    Summary,
    median_interval,
    ratio,
    summarise,
)

NANOSECONDS = 1e-6  # to milliseconds


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


@dataclass(frozen=True)
class Row:
    """One entry in one case. Times in ms. ``share_of_peak``: nominal FLOPs per second over the
    fp32 matrix-product rate of the same run (above 1 is possible for int8)."""

    entry: EntryContent
    wall: Summary
    cpu: Summary
    wall_interval: Interval | None
    first_ms: float
    peak_memory_bytes: int
    model_memory_bytes: int
    gflops: float
    share_of_peak: float | None
    cosine: float | None
    reference: str | None


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


@dataclass(frozen=True)
class Content:
    """Everything a report says."""

    started: str
    complete: bool
    command: tuple[str, ...]
    device: Mapping[str, Any]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    entries: tuple[EntryContent, ...]
    baselines: tuple[str, ...]
    cases: tuple[CaseContent, ...]
    warnings: tuple[BenchWarning, ...]
    failures: tuple[str, ...]
    notices: tuple[str, ...]

    def case(self, length: int = 128) -> CaseContent | None:
        """The case a report shows first: the fewest threads, the length nearest to ``length``."""
        full = [case for case in self.cases if case.rows]
        return min(full, key=lambda case: (case.threads, abs(case.length - length)), default=None)

    def document(self) -> dict[str, Any]:
        """The whole content as JSON values (``--json``)."""
        return {"schema": "squeezebert-report/1", **asdict(self)}


def build_content(results: Results) -> Content:
    """Statistics, ratios and warnings of a run, finished or not."""
    run = results.run
    entries = {item["id"]: _entry(item, results) for item in run.entries if item["bundle"]}
    labels = {item["id"]: str(item["label"]) for item in run.entries}
    warnings = [*run.warnings, *(item for resume in results.resumes for item in resume.warnings)]
    cases = []
    for threads in run.threads:
        for length in run.lengths:
            case, found = _case(results, entries, length, threads)
            warnings += found
            cases.append(case)
    notices = list(run.notices)
    if not results.ends:
        notices.append("The run is not finished; this is what was measured so far.")
    if results.resumes:
        notices.append(f"The run was interrupted and resumed {len(results.resumes)} time(s).")
    return Content(
        started=run.started,
        complete=bool(results.ends) and not results.failures,
        command=run.command,
        device=run.device,
        versions={**_runner_versions(results), **run.versions},
        settings=run.settings,
        entries=tuple(entries.values()),
        baselines=tuple(entry.label for entry in entries.values() if "baseline" in entry.roles),
        cases=tuple(cases),
        warnings=tuple(dict.fromkeys(warnings)),
        failures=tuple(
            f"{labels[failure.entry]}, {failure.stage}"
            + (f" at {failure.length} tokens" if failure.length else "")
            + f": {failure.reason}"
            for failure in results.failures
        ),
        notices=tuple(notices),
    )


def _entry(item: Mapping[str, Any], results: Results) -> EntryContent:
    bundle, artifact = item["bundle"], item["artifact"]
    loads = [record.load_ns for record in results.loads if record.entry == item["id"]]
    return EntryContent(
        id=item["id"],
        label=item["label"],
        roles=tuple(item["roles"]),
        source=bundle["model"]["source"],
        family=bundle["model"]["family"],
        trained=bundle["model"]["trained"],
        recipe=bundle["recipe"],
        flavour=artifact["flavour"],
        precision=artifact["precision"],
        target=item["target"],
        path=artifact["path"],
        folder=bundle["folder"],
        bytes=artifact["bytes"],
        sha256=artifact["sha256"],
        accuracy=artifact["accuracy"],
        load_ms=float(np.median(loads)) * NANOSECONDS if loads else None,
    )


def _case(
    results: Results, entries: Mapping[str, EntryContent], length: int, threads: int
) -> tuple[CaseContent, list[BenchWarning]]:
    blocks: dict[str, list[BlockRecord]] = {}
    for block in results.blocks:
        if (block.length, block.threads) == (length, threads):
            blocks.setdefault(block.entry, []).append(block)
    where = f"{length} tokens, {threads} thread{'' if threads == 1 else 's'}"
    flops = {item["id"]: item["nominal_flops"] for item in results.run.entries}
    findings: list[tuple[str, Finding]] = []
    peak = None
    for item in results.run.entries:
        if "peak" in item["roles"] and item["id"] in blocks:
            peak = flops[item["id"]]["any"] / summarise(_wall(blocks[item["id"]])).median / 1e6
    rows = []
    for entry_id, entry in entries.items():
        if entry_id not in blocks:
            continue
        row = _row(results, entry, blocks[entry_id], flops[entry_id][str(length)], peak)
        rows.append(row)
        this = (entry_id, length, threads)
        steady = all(item.steady for item in results.warm_ups if _case_of(item) == this)
        found = instability(
            Evidence(
                wall=_wall(blocks[entry_id]),
                cpu=_cpu(blocks[entry_id]),
                threads=threads,
                steady=steady,
                other_load=[block.other_load for block in blocks[entry_id]],
                stolen=[block.stolen for block in blocks[entry_id]],
            )
        )
        found += disagreement(entry.precision, row.reference, row.cosine)
        findings += [(entry.label, item) for item in found]
    present = [row.entry for row in rows]
    ratios = _ratios(blocks, _pairs(present))
    first = next((entry for entry in present if "baseline" in entry.roles), None)
    ladder = _ratios(blocks, [(entry, first) for entry in present if first not in (None, entry)])
    findings += wide_intervals(
        [(f"{row.subject} against {row.baseline}", row.ratio) for row in ratios]
    )
    case = CaseContent(length, threads, tuple(rows), ratios, ladder, peak)
    return case, grouped(findings, where)


def _row(
    results: Results,
    entry: EntryContent,
    blocks: Sequence[BlockRecord],
    flops: int,
    peak_gflops: float | None,
) -> Row:
    threads, this = blocks[0].threads, _case_of(blocks[0])
    wall = summarise(_wall(blocks))
    gflops = flops / wall.median / 1e6
    loads = [item for item in results.loads if (item.entry, item.threads) == (entry.id, threads)]
    before = [record.rss_before_bytes for record in loads]
    first = [item.first_inference_ns for item in results.warm_ups if _case_of(item) == this]
    checks = [item for item in results.checks if _case_of(item) == this]
    labels = {item["id"]: item["label"] for item in results.run.entries}
    peak_memory = max(block.peak_rss_bytes for block in blocks)
    return Row(
        entry=entry,
        wall=wall,
        cpu=summarise(_cpu(blocks)),
        wall_interval=median_interval(_wall(blocks)),
        first_ms=float(np.median(first)) * NANOSECONDS if first else 0.0,
        peak_memory_bytes=peak_memory,
        model_memory_bytes=peak_memory - min(before, default=0),
        gflops=gflops,
        share_of_peak=gflops / peak_gflops if peak_gflops else None,
        cosine=checks[-1].cosine if checks else None,
        reference=labels[checks[-1].reference] if checks else None,
    )


def _pairs(
    entries: Sequence[EntryContent],
) -> list[tuple[EntryContent, EntryContent | None]]:
    """Every subject with every baseline but itself."""
    return [
        (subject, baseline)
        for subject in entries
        if "subject" in subject.roles
        for baseline in entries
        if "baseline" in baseline.roles and baseline is not subject
    ]


def _ratios(
    blocks: Mapping[str, Sequence[BlockRecord]],
    pairs: Sequence[tuple[EntryContent, EntryContent | None]],
) -> tuple[RatioRow, ...]:
    """A row for each pair (subject, baseline) that has a round in common."""
    rows = []
    for subject, baseline in pairs:
        if baseline is None:
            continue
        one, other = blocks[baseline.id], blocks[subject.id]
        if {block.round for block in one} & {block.round for block in other}:
            wall = ratio(_wall(one), _wall(other))
            cpu = ratio(_cpu(one), _cpu(other))
            rows.append(RatioRow(subject.label, baseline.label, wall, cpu))
    return tuple(rows)


def _case_of(record: BlockRecord | WarmUpRecord | CheckRecord) -> tuple[str, int, int]:
    return record.entry, record.length, record.threads


def _wall(blocks: Sequence[BlockRecord]) -> Blocks:
    return {block.round: np.array(block.wall_ns) * NANOSECONDS for block in blocks}


def _cpu(blocks: Sequence[BlockRecord]) -> Blocks:
    return {block.round: np.array(block.cpu_ns) * NANOSECONDS for block in blocks}


def _runner_versions(results: Results) -> dict[str, str]:
    """Versions that the runners themselves reported."""
    return {name: text for record in results.loads for name, text in record.versions.items()}
