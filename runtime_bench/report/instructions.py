"""Executed instructions of single inferences, as an emulated device counted them. Never a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime_bench.records import InstructionsRecord
from runtime_bench.results import Results

CLASSES: Mapping[str, str] = {
    "dot": "SDOT, UDOT",
    "matrix": "SMMLA, UMMLA, USMMLA",
    "fmla": "FMLA",
    "other": "other",
}


@dataclass(frozen=True)
class InstructionRow:
    """Instructions per inference of one artifact (its id and label) in one case.

    ``total`` is the lower median of the ``inferences`` and ``classes`` are those of that inference;
    ``spread`` is the largest count less the smallest. ``phases``: totals of what came before.
    """

    entry: str
    label: str
    length: int
    threads: int
    profile: str
    total: int
    classes: Mapping[str, int]
    inferences: int
    spread: int
    phases: Mapping[str, int]


@dataclass(frozen=True)
class InstructionRatio:
    """``value``: instructions of ``baseline`` divided by those of ``subject`` (labels)."""

    subject: str
    baseline: str
    value: float


def instruction_rows(
    results: Results, labels: Mapping[str, str], length: int, threads: int
) -> tuple[InstructionRow, ...]:
    """A row for each artifact that was counted in this case, in the order of the run's entries."""
    found = {
        record.entry: record
        for record in results.instructions
        if (record.length, record.threads) == (length, threads) and record.entry in labels
    }
    return tuple(_row(found[entry], label) for entry, label in labels.items() if entry in found)


def instruction_ratios(
    rows: Sequence[InstructionRow], roles: Mapping[str, Sequence[str]]
) -> tuple[InstructionRatio, ...]:
    """Every subject against every baseline; ``roles`` by entry id."""
    return tuple(
        InstructionRatio(subject.label, baseline.label, baseline.total / subject.total)
        for subject in rows
        if "subject" in roles[subject.entry]
        for baseline in rows
        if "baseline" in roles[baseline.entry] and baseline is not subject
    )


def _row(record: InstructionsRecord, label: str) -> InstructionRow:
    ranked = sorted(record.inferences, key=lambda counts: counts["total"])
    middle = ranked[(len(ranked) - 1) // 2]
    return InstructionRow(
        entry=record.entry,
        label=label,
        length=record.length,
        threads=record.threads,
        profile=record.profile,
        total=middle["total"],
        classes={name: middle[name] for name in CLASSES},
        inferences=len(ranked),
        spread=ranked[-1]["total"] - ranked[0]["total"],
        phases={name: counts["total"] for name, counts in record.phases.items()},
    )
