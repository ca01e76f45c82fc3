"""What a report says, computed once from the results; the formats only lay it out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from runtime_bench.devices.base import BenchWarning
from runtime_bench.labels import cpu_list
from runtime_bench.report.cases import CaseContent, EntryContent, RatioRow, Row, build_case
from runtime_bench.report.conditions import ConditionsContent, conditions_content
from runtime_bench.report.rungs import Ladder, build_ladders
from runtime_bench.report.starts import StartRow, start_rows
from runtime_bench.results import Results
from runtime_bench.samples import NANOSECONDS

__all__ = ["CaseContent", "Content", "EntryContent", "RatioRow", "Row", "build_content"]


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
    cores_used: str = ""
    starts: tuple[StartRow, ...] = ()
    conditions: ConditionsContent = field(default_factory=ConditionsContent)
    ladders: tuple[Ladder, ...] = ()

    @property
    def emulated(self) -> bool:
        """Whether the device was emulated: then instructions were counted, and nothing timed."""
        return bool(self.device["emulated"])

    def case(self, length: int = 128) -> CaseContent | None:
        """The case a report shows first: the fewest threads, the length nearest to ``length``."""
        full = [case for case in self.cases if case.rows or case.instructions]
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
            case, found = build_case(results, entries, length, threads)
            warnings += found
            cases.append(case)
    notices = list(run.notices)
    if not results.ends:
        notices.append("The run is not finished; this is what was measured so far.")
    if run.device["emulated"] and results.blocks:
        notices.append(
            "The timings in this file are of an emulated device and not shown: the emulator's "
            "speed says nothing of a phone's."
        )
    if results.resumes:
        notices.append(f"The run was resumed {len(results.resumes)} time(s).")
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
        cores_used=_cores_used(results),
        starts=start_rows(results, labels),
        conditions=conditions_content(results),
        ladders=build_ladders(results, tuple(entries.values()), tuple(cases)),
    )


def _entry(item: Mapping[str, Any], results: Results) -> EntryContent:
    bundle, artifact = item["bundle"], item["artifact"]
    loads = [
        record.load_ns
        for record in results.loads
        if record.entry == item["id"] and record.load_ns is not None
    ]
    if results.run.device["emulated"]:
        loads = []
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
        layers=bundle["model"].get("layers"),
        hidden_size=bundle["model"].get("hidden_size"),
    )


def _cores_used(results: Results) -> str:
    """For example ``big (4-7)``; "" where the processes were not bound to cores."""
    got = [record.cpus_got for record in results.loads if record.cpus_got]
    asked = [record.cpus_asked for record in results.loads if record.cpus_asked]
    if not asked and not got:
        return ""
    cluster = str(results.run.settings.get("cores", "all"))
    cpus = {cpu for group in (got or asked) for cpu in group}
    words = f"{cluster} ({cpu_list(sorted(cpus))})"
    if got and asked and {cpu for group in asked for cpu in group} != cpus:
        words += f", asked for {cpu_list([cpu for group in asked for cpu in group])}"
    return words


def _runner_versions(results: Results) -> dict[str, str]:
    """Versions that the runners themselves reported."""
    return {name: text for record in results.loads for name, text in record.versions.items()}
