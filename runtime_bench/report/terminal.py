"""Tables for the terminal."""

import io
import shutil

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runtime_bench.report import text
from runtime_bench.report.content import CaseContent, Content

NAME = "terminal"
FILE = None
_NARROWEST = 100


def render(content: Content) -> str:
    """The report as text, as wide as the terminal (at least 100 columns)."""
    width = max(_NARROWEST, shutil.get_terminal_size((120, 40)).columns)
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(Text(f"Device: {text.device_line(content.device)}"))
    for case in content.cases:
        if case.rows:
            console.print(_latencies(case))
            if case.peak_gflops:
                rate = f"fp32 matrix product in the same run: {case.peak_gflops:.0f} GFLOP/s (peak)"
                console.print(Text(rate, style="dim"))
            if case.ratios:
                console.print(_ratios(case))
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
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for row in case.rows:
        table.add_row(
            Text(row.entry.label),
            text.milliseconds(row.wall.median),
            text.milliseconds(row.wall.p90),
            text.milliseconds(row.wall.p99),
            text.milliseconds(row.cpu.median),
            "-" if row.entry.load_ms is None else text.milliseconds(row.entry.load_ms),
            text.megabytes(row.entry.bytes),
            text.megabytes(row.model_memory_bytes),
            text.percent(row.share_of_peak),
            text.accuracy(row.entry),
        )
    return table


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
