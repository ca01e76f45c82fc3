"""The report as Markdown, for a README or an issue."""

from collections.abc import Sequence

from runtime_bench.report import text
from runtime_bench.report.content import CaseContent, Content
from runtime_bench.report.instructions import CLASSES
from runtime_bench.report.method import method

NAME = "markdown"
FILE: str | None = "report.md"


def render(content: Content) -> str:
    """The report as one Markdown document."""
    parts = [
        "# Latency report",
        f"Device: {text.device_line(content.device)}. Measured {content.started[:10]}.",
        _baselines(content),
    ]
    if emulation := text.emulation(content):
        parts.insert(1, f"**{emulation}**")
    if facts := text.device_facts(content):
        parts.insert(-1, "\n".join(f"- {name}: {value}" for name, value in facts))
    for case in content.cases:
        if not case.rows:
            continue
        parts.append(f"## {case.length} tokens, {text.threads(case.threads)}, batch 1")
        parts.append(_latencies(case))
        if case.peak_gflops:
            parts.append(text.peak_line(case.peak_gflops))
        if case.ratios:
            parts.append("How many times as fast, with the 95 % interval:")
            parts.append(_ratios(case))
    for case in content.cases:
        if case.instructions:
            parts += _instructions(case)
    if content.starts:
        cold = text.cold_starts(content.starts)
        parts += ["## Cold and warm starts", _starts(content), cold]
    if content.conditions.pauses:
        pauses = (f"- {text.pause(item)}" for item in content.conditions.pauses)
        parts += ["## Pauses", "\n".join(pauses)]
    parts.append("## Artifacts")
    parts.append(_artifacts(content))
    notes = [f"- **Failed:** {failure}" for failure in content.failures]
    notes += [f"- {warning.message} *{warning.remedy}*" for warning in content.warnings]
    notes += [f"- {notice}" for notice in content.notices]
    if notes:
        parts += ["## Warnings and notes", "\n".join(notes)]
    parts += ["## How it was measured", *method(content)]
    parts.append("Versions: " + text.versions_line(content.versions) + ".")
    parts.append(f"Command: `{' '.join(content.command)}`")
    return "\n\n".join(parts) + "\n"


def _baselines(content: Content) -> str:
    if not content.baselines:
        return "No baseline was measured, so this report holds no ratios."
    return "Baselines: " + "; ".join(f"**{label}**" for label in content.baselines) + "."


def _latencies(case: CaseContent) -> str:
    extra = text.extra_columns(case)
    header = (
        *("artifact", "median ms", "95 % interval", "p90", "p99", "CPU ms", "first ms", "load ms"),
        *("file MB", "memory MB", "share of peak", *(name for name, _ in extra)),
    )
    return _table(
        header,
        [
            (
                row.entry.label,
                text.milliseconds(row.wall.median),
                text.millisecond_interval(row.wall_interval),
                text.milliseconds(row.wall.p90),
                text.milliseconds(row.wall.p99),
                text.milliseconds(row.cpu.median),
                text.known(row.first_ms),
                text.known(row.entry.load_ms),
                text.megabytes(row.entry.bytes),
                text.known(row.model_memory_bytes, text.megabytes),
                text.percent(row.share_of_peak),
                *(cell(row) for _, cell in extra),
            )
            for row in case.rows
        ],
    )


def _ratios(case: CaseContent) -> str:
    subjects = list(dict.fromkeys(row.subject for row in case.ratios))
    cells = {(row.subject, row.baseline): text.times(row.ratio) for row in case.ratios}
    rows = [
        (baseline, *(cells.get((subject, baseline), "-") for subject in subjects))
        for baseline in dict.fromkeys(row.baseline for row in case.ratios)
    ]
    return _table(("against the baseline", *subjects), rows)


def _instructions(case: CaseContent) -> list[str]:
    """Heading, table of counts, and their ratios."""
    header = ("artifact", "instructions", *CLASSES.values(), "repeated")
    rows = [
        (
            row.label,
            f"{row.total:,}",
            *(f"{row.classes[name]:,}" for name in CLASSES),
            text.spread(row),
        )
        for row in case.instructions
    ]
    parts = [f"## {text.instructions_title(case)}", _table(header, rows)]
    if case.instruction_ratios:
        title = ("instructions of", "over those of", "ratio of instructions")
        ratios = [
            (item.baseline, item.subject, f"{item.value:.2f}x") for item in case.instruction_ratios
        ]
        parts.append(_table(title, ratios))
    return parts


def _starts(content: Content) -> str:
    """Cold and warm, in ms."""
    header = (
        *("artifact", "tokens", "threads", "cold load", "cold first", "cold both"),
        *("warm load", "warm first", "warm both"),
    )
    rows = [
        (
            row.entry,
            str(row.length),
            str(row.threads),
            *text.start(row.cold),
            *text.start(row.warm),
        )
        for row in content.starts
    ]
    return _table(header, rows)


def _artifacts(content: Content) -> str:
    header = ("artifact", "role", "file", "source", "weights", "accuracy", "SHA-256")
    rows = [
        (
            entry.label,
            ", ".join(entry.roles),
            f"{entry.folder}/{entry.path}",
            entry.source,
            text.weights(entry),
            text.accuracy(entry),
            f"`{entry.sha256[:16]}`",
        )
        for entry in content.entries
    ]
    return _table(header, rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """First column left, the others right; pipes in cells are escaped."""
    lines = [header, [":--", *("--:" for _ in header[1:])], *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
