"""Sections of the page that only some runs have: instructions, starts, pauses."""

from html import escape

from runtime_bench.report import text
from runtime_bench.report.content import CaseContent, Content
from runtime_bench.report.instructions import CLASSES
from runtime_bench.report.method import in_app
from runtime_bench.report.page import named, table


def instruction_section(content: Content) -> str:
    """Counts of an emulated device; never beside a time."""
    cases = [case for case in content.cases if case.instructions]
    if not cases:
        return ""
    return (
        "<h2>Instructions per inference</h2>\n<p>Executed instructions on an emulated device, "
        "total and by class. They are no time. Below each total: how far repeated inferences "
        "lie apart.</p>\n" + "\n".join(_instructions(content, case) for case in cases)
    )


def start_section(content: Content) -> str:
    """Cold and warm starts."""
    if not content.starts:
        return ""
    entries = {entry.label: entry for entry in content.entries}
    header = (
        *("artifact", "tokens", "threads", "cold load ms", "first ms", "both"),
        *("warm load ms", "first ms", "both", "starts"),
    )
    rows = [
        [
            named(entries[row.entry]),
            str(row.length),
            str(row.threads),
            *text.start(row.cold),
            *text.start(row.warm),
            f"{row.cold.count if row.cold else 0} + {row.warm.count if row.warm else 0}",
        ]
        for row in content.starts
    ]
    start = "opens it again" if in_app(content) else "is a process of its own that opens it"
    return (
        f"<h2>Cold and warm starts</h2>\n<p>Each start of a model {start} "
        f"and runs it once (medians). {escape(text.cold_starts(content.starts))}</p>\n"
        + table(header, rows)
    )


def pause_section(content: Content) -> str:
    """When the device slowed down, and what the run did."""
    pauses = content.conditions.pauses
    if not pauses:
        return ""
    items = "".join(f"<li>{escape(text.pause(item))}</li>" for item in pauses)
    return f'<h2>Pauses</h2>\n<ul class="notes">{items}</ul>'


def _instructions(content: Content, case: CaseContent) -> str:
    entries = {entry.id: entry for entry in content.entries}
    header = ("artifact", "instructions", *CLASSES.values(), "loading", "first inference")
    rows = [
        [
            named(entries[row.entry]),
            f"<strong>{row.total:,}</strong><small>{text.spread(row)}</small>",
            *(f"{row.classes[name]:,}" for name in CLASSES),
            *(text.phase(row, name) for name in ("load", "first_inference")),
        ]
        for row in case.instructions
    ]
    parts = [f"<h3>{escape(text.instructions_title(case))}</h3>", table(header, rows)]
    if case.instruction_ratios:
        ratios = [
            [escape(item.baseline), escape(item.subject), f"{item.value:.2f}&times;"]
            for item in case.instruction_ratios
        ]
        title = ("instructions of", "over those of", "ratio of instructions")
        parts.append(table(title, ratios, words=range(1, 2)))
    return "\n".join(parts)
