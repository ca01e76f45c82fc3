"""A comparison as a table for the terminal, as a JSON document, and as an exit code."""

import io
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runtime_bench.comparison.changes import Change, Comparison
from runtime_bench.comparison.verdicts import Verdict
from runtime_bench.report import text

SCHEMA = "squeezebert-comparison/1"
_NARROWEST = 100
_STYLES = {
    Verdict.FASTER: "bold green",
    Verdict.FEWER: "bold green",
    Verdict.SLOWER: "bold red",
    Verdict.MORE: "bold red",
    Verdict.FAILED: "bold red",
    Verdict.NOISY: "yellow",
    Verdict.INCOMPARABLE: "yellow",
    Verdict.MISSING: "yellow",
}
_NOT_COMPARED = (Verdict.INCOMPARABLE, Verdict.MISSING)
_UNDECIDED = (Verdict.NOISY, *_NOT_COMPARED)


def exit_code(comparison: Comparison, *, strict: bool = False) -> int:
    """0: nothing is slower or needs more instructions; 1: something is; 2: nothing is comparable.

    What failed in the later run is like slower. ``strict``: so is what could not be decided, and
    what only the run before has.
    """
    verdicts = [change.verdict for change in comparison.changes]
    if all(verdict in _NOT_COMPARED for verdict in verdicts):
        return 2
    bad = (Verdict.SLOWER, Verdict.MORE, Verdict.FAILED, *(_UNDECIDED if strict else ()))
    return 1 if any(verdict in bad for verdict in verdicts) else 0


def document(comparison: Comparison, *, strict: bool = False) -> dict[str, Any]:
    """Everything as JSON values."""
    return {
        "schema": SCHEMA,
        **asdict(comparison),
        "exit_code": exit_code(comparison, strict=strict),
    }


def render(comparison: Comparison) -> str:
    """The comparison as text, as wide as the terminal (at least 100 columns)."""
    width = max(_NARROWEST, shutil.get_terminal_size((120, 40)).columns)
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False)
    console.print(
        Text(
            f"{comparison.device}: {_moment(comparison.started_before)} (before) and "
            f"{_moment(comparison.started_after)} (after)"
        )
    )
    if comparison.emulated:
        console.print(Text("EMULATED: executed instructions are compared, which are no time."))
    for obstacle in comparison.obstacles:
        console.print(Text(f"INCOMPARABLE: {obstacle}", style="bold yellow"))
    if not comparison.obstacles and comparison.changes:
        console.print(_table(comparison.changes))
        for line in _reasons(comparison.changes):
            console.print(Text(line))
    for notice in comparison.notices:
        console.print(Text(notice, style="dim"))
    if not comparison.obstacles and any(change.unit == "ms" for change in comparison.changes):
        console.print(
            Text(
                f"SAME: the whole 95 % interval lies within {comparison.limit:.0%}. The two runs "
                "were not interleaved: intervals hold what the device itself changed between them.",
                style="dim",
            )
        )
    return stream.getvalue().rstrip()


def _reasons(changes: Sequence[Change]) -> list[str]:
    """One line for each reason, naming everything that it holds for."""
    places: dict[tuple[Verdict, str], list[str]] = {}
    for change in changes:
        if change.verdict in (*_UNDECIDED, Verdict.FAILED):
            places.setdefault((change.verdict, change.reason), []).append(_place(change))
    return [
        f"{verdict}: {'; '.join(names)}: {reason}" for (verdict, reason), names in places.items()
    ]


def _table(changes: Sequence[Change]) -> Table:
    unit = next((change.unit for change in changes if change.unit), "ms")
    table = Table()
    table.add_column("artifact")
    for name in ("tokens", "threads", f"{unit} before", "after", "times as fast", "95 % interval"):
        if unit == "ms" or name not in ("times as fast", "95 % interval"):
            table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if unit != "ms":
        table.add_column("difference")
    for change in changes:
        cells = [
            "-" if change.length is None else str(change.length),
            "-" if change.threads is None else str(change.threads),
            _amount(change.before, unit),
            _amount(change.after, unit),
        ]
        verdict = Text(change.verdict, style=_STYLES.get(change.verdict, ""))
        if unit == "ms":
            times = change.times_as_fast
            cells += ["-" if times is None else f"{times:.2f}x"]
            cells += [text.interval(change.interval) if change.interval else "-"]
            table.add_row(Text(change.label), *map(Text, cells), verdict)
        else:
            reason = change.reason if change.unit else ""
            table.add_row(Text(change.label), *map(Text, cells), verdict, Text(reason))
    return table


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return text.milliseconds(value) if unit == "ms" else f"{value:,.0f}"


def _place(change: Change) -> str:
    parts = [change.label]
    if change.length is not None:
        parts.append(f"{change.length} tokens")
    if change.threads is not None:
        parts.append(text.threads(change.threads))
    return ", ".join(parts)


def _moment(started: str) -> str:
    return started[:16].replace("T", " ")
