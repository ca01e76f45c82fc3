"""Tables for the terminal."""

import io
import shutil

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runtime_bench.report import text
from runtime_bench.report.content import CaseContent, Content
from runtime_bench.report.instructions import CLASSES

NAME = "terminal"
FILE = None
_NARROWEST = 100


def render(content: Content) -> str:
    """The report as text, as wide as the terminal (at least 100 columns)."""
    width = max(_NARROWEST, shutil.get_terminal_size((120, 40)).columns)
    console = Console(file=io.StringIO(), width=width, highlight=False)
    if emulation := text.emulation(content):
        console.print(Text(emulation, style="bold yellow"))
    console.print(Text(f"Device: {text.device_line(content.device)}"))
    for name, value in text.device_facts(content):
        console.print(Text(f"  {name}: {value}"))
    for case in content.cases:
        if case.rows:
            console.print(_latencies(case))
            if case.peak_gflops:
                rate = f"fp32 matrix product in the same run: {case.peak_gflops:.0f} GFLOP/s (peak)"
                console.print(Text(rate, style="dim"))
            if case.ratios:
                console.print(_ratios(case))
        if case.instructions:
            console.print(_instructions(case))
            if case.instruction_ratios:
                console.print(_instruction_ratios(case))
    if content.starts:
        console.print(_starts(content))
        console.print(Text(text.cold_starts(content.starts), style="dim"))
    for item in content.conditions.pauses:
        console.print(Text(f"Pause: {text.pause(item)}", style="yellow"))
    if not content.baselines:
        console.print(Text("No baseline was measured, so there are no ratios: add --baseline."))
    for failure in content.failures:
        console.print(Text(f"Failed: {failure}", style="bold red"))
    for warning in content.warnings:
        console.print(Text(f"Warning: {warning.message} {warning.remedy}", style="yellow"))
    for notice in content.notices:
        console.print(Text(notice, style="dim"))
    stream = console.file
    return stream.getvalue().rstrip() if isinstance(stream, io.StringIO) else ""


def _latencies(case: CaseContent) -> Table:
    table = Table(
        title=f"Latency in ms: {case.length} tokens, {text.threads(case.threads)}, batch 1",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("artifact", no_wrap=False)
    columns = ("median", "p90", "p99", "CPU", "load", "MB file", "MB memory", "of peak", "accuracy")
    metered = any(row.energy_mj is not None for row in case.rows)
    for name in (*columns, *(["mJ"] if metered else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for row in case.rows:
        table.add_row(
            Text(row.entry.label),
            text.milliseconds(row.wall.median),
            text.milliseconds(row.wall.p90),
            text.milliseconds(row.wall.p99),
            text.milliseconds(row.cpu.median),
            text.known(row.entry.load_ms),
            text.megabytes(row.entry.bytes),
            text.known(row.model_memory_bytes, text.megabytes),
            text.percent(row.share_of_peak),
            text.accuracy(row.entry),
            *([text.known(row.energy_mj)] if metered else []),
        )
    return table


def _instructions(case: CaseContent) -> Table:
    table = _titled(text.instructions_title(case))
    table.add_column("artifact")
    for name in ("instructions", *CLASSES.values()):
        table.add_column(name, justify="right")
    for row in case.instructions:
        numbers = (row.total, *(row.classes[name] for name in CLASSES))
        table.add_row(Text(row.label), *(f"{number:,}" for number in numbers))
    return table


def _instruction_ratios(case: CaseContent) -> Table:
    table = _titled("Ratio of instructions (emulated), which is no ratio of times")
    for name in ("instructions of", "over those of"):
        table.add_column(name)
    table.add_column("ratio", justify="right")
    for row in case.instruction_ratios:
        table.add_row(Text(row.baseline), Text(row.subject), f"{row.value:.2f}x")
    return table


def _starts(content: Content) -> Table:
    table = _titled("Cold and warm starts in ms: open the model, first inference, both")
    table.add_column("artifact")
    for name in ("tokens", "threads", "cold load", "first", "both", "warm load", "first", "both"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in content.starts:
        cells = (str(row.length), str(row.threads), *text.start(row.cold), *text.start(row.warm))
        table.add_row(Text(row.entry), *cells)
    return table


def _titled(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")


def _ratios(case: CaseContent) -> Table:
    table = Table(
        title=f"How many times as fast: {case.length} tokens, {text.threads(case.threads)}",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("artifact")
    table.add_column("against the baseline")
    table.add_column("ratio", justify="right")
    table.add_column("95 % interval")
    table.add_column("by CPU time", justify="right")
    previous = None
    for row in case.ratios:
        if previous not in (None, row.subject):
            table.add_section()
        previous = row.subject
        table.add_row(
            Text(row.subject),
            Text(row.baseline),
            f"{row.ratio.value:.2f}x",
            Text(text.interval(row.ratio.interval)),
            f"{row.cpu_ratio.value:.2f}x",
        )
    return table
