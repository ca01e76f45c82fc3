"""The regression gate for CI: does an artifact execute more instructions than it did before?

Counts of one device profile with the same libraries do not depend on the machine or its load, so
that one baseline file, kept beside the code, serves everywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from statistics import median
from typing import Any

from runtime_bench.errors import InputError
from runtime_bench.records import InstructionsRecord
from runtime_bench.results import Results, read_results

# Counts of one model in two processes repeat to far below 0.1 %; exchanging the guest's C library
# for another build of it moved them by less than 0.2 %. Half a percent is neither.
TOLERANCE = 0.005
# The project itself is what the gate is about; all other versions must agree.
_OWN_VERSION = "squeezebert-mobile"


class Outcome(Enum):
    """What the gate says of one artifact at one length."""

    SAME = "same"
    FEWER = "fewer"
    MORE = "MORE"
    INCOMPARABLE = "INCOMPARABLE"
    MISSING = "not counted now"


@dataclass(frozen=True)
class Verdict:
    """One line of the gate's table. Instructions of one inference (medians), None if not there."""

    label: str
    length: int
    profile: str
    before: int
    now: int | None
    outcome: Outcome
    reason: str = ""

    @property
    def change(self) -> float | None:
        """Relative to ``before``."""
        return None if self.now is None else self.now / self.before - 1


@dataclass(frozen=True)
class _Key:
    """The same artifact of the same model at the same length."""

    path: str
    recipe: str
    model: str
    length: int


@dataclass(frozen=True)
class _Counted:
    label: str
    profile: str
    total: int
    libraries: Mapping[str, str]


def check(now: Results, before: Results, tolerance: float = TOLERANCE) -> list[Verdict]:
    """One verdict for each count of ``before``, in its order.

    Paired are counts of the same artifact path, recipe, model and length. Other profiles, or
    other libraries, are incomparable. Raises InputError where nothing is paired.
    """
    current, earlier = dict(_counts(now)), dict(_counts(before))
    if not set(current) & set(earlier):
        raise InputError(
            "The baseline has no instruction count of an artifact, model and length counted now.",
            "Count the same ones, or make a new baseline with: "
            "squeezebert-bench run BUNDLE --device arm64 --out BASELINE.jsonl",
        )
    return [_verdict(key, item, current.get(key), tolerance) for key, item in earlier.items()]


def run_gate(now: Path, baseline: Path, tolerance: float = TOLERANCE) -> tuple[int, str]:
    """Compare two results files: the exit code and the table to print.

    0: no artifact executes more; 1: one does, or failed now; 2: something cannot be compared.
    Raises InputError for a file that is none, or where nothing is paired.
    """
    results = read_results(now)
    verdicts = check(results, read_results(baseline), tolerance)
    outcomes = {verdict.outcome for verdict in verdicts}
    code = 0
    if Outcome.INCOMPARABLE in outcomes:
        code = 2
    if Outcome.MORE in outcomes or results.failures:
        code = 1
    return code, table(verdicts, tolerance)


def table(verdicts: Sequence[Verdict], tolerance: float) -> str:
    """The verdicts as plain text, and what to do where one is not good."""
    rows = [("artifact", "tokens", "profile", "before", "now", "change", "")]
    for item in verdicts:
        now = "-" if item.now is None else f"{item.now:,}"
        change = "-" if item.change is None else f"{item.change:+.2%}"
        outcome = item.outcome.value + (f": {item.reason}" if item.reason else "")
        before = f"{item.before:,}"
        rows.append((item.label, str(item.length), item.profile, before, now, change, outcome))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["Instructions per inference (emulated)"]
    for row in rows:
        cells = [
            cell.ljust(width) if column in (0, 2, 6) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    outcomes = {item.outcome for item in verdicts}
    if Outcome.MORE in outcomes:
        lines.append(f"More instructions than before by over {tolerance:.1%}.")
    if Outcome.FEWER in outcomes:
        lines.append("Fewer than before: keep the new file as the baseline.")
    if Outcome.INCOMPARABLE in outcomes:
        lines.append("What is incomparable needs a new baseline from this set-up.")
    return "\n".join(lines)


def _verdict(key: _Key, before: _Counted, now: _Counted | None, tolerance: float) -> Verdict:
    if now is None:
        return Verdict(
            before.label, key.length, before.profile, before.total, None, Outcome.MISSING
        )
    outcome, reason = Outcome.SAME, _difference(before, now)
    change = now.total / before.total - 1
    if reason:
        outcome = Outcome.INCOMPARABLE
    elif change > tolerance:
        outcome = Outcome.MORE
    elif change < -tolerance:
        outcome = Outcome.FEWER
    return Verdict(now.label, key.length, now.profile, before.total, now.total, outcome, reason)


def _difference(before: _Counted, now: _Counted) -> str:
    """Why two counts cannot be compared; "" when they can."""
    if before.profile != now.profile:
        return f"the baseline is of {before.profile}"
    names = sorted({*before.libraries, *now.libraries})
    other = [name for name in names if before.libraries.get(name) != now.libraries.get(name)]
    return f"another version of {', '.join(other)}" if other else ""


def _counts(results: Results) -> Iterator[tuple[_Key, _Counted]]:
    documents = {str(entry["id"]): entry for entry in results.run.entries}
    loaded = {record.entry: record.versions for record in results.loads}
    for record in results.instructions:
        document: Mapping[str, Any] = documents[record.entry]
        bundle = document["bundle"]
        versions = {**results.run.versions, **loaded.get(record.entry, {})}
        versions.pop(_OWN_VERSION, None)
        key = _Key(
            document["artifact"]["path"],
            bundle["recipe"],
            _model(bundle["model"]),
            record.length,
        )
        yield key, _Counted(document["label"], record.profile, _total(record), versions)


def _total(record: InstructionsRecord) -> int:
    return round(median(counts["total"] for counts in record.inferences))


def _model(facts: Mapping[str, Any]) -> str:
    """Everything about a model but its weights: new weights at the same cost pass the gate."""
    return str(sorted((name, value) for name, value in facts.items() if name != "source_hash"))
