"""The report as one self-contained HTML file: no scripts, nothing fetched from anywhere."""

from html import escape

from runtime_bench.report import text
from runtime_bench.report.content import CaseContent, Content, Row
from runtime_bench.report.html_sections import instruction_section, pause_section, start_section
from runtime_bench.report.method import method
from runtime_bench.report.page import frame, heading, named, notes, table, where
from runtime_bench.report.plots import make_plots

NAME = "html"
FILE: str | None = "report.html"


def render(content: Content) -> str:
    """The whole page."""
    parts = [heading("Latency report", content), _headline(content)]
    parts += [
        f"<figure><h3>{escape(plot.title)}</h3><figcaption>{escape(plot.caption)}</figcaption>"
        f'<div role="img" aria-label="{escape(plot.title)}">{plot.svg}</div></figure>'
        for plot in make_plots(content)
    ]
    parts += [notes(content), _ratio_section(content), _latency_section(content)]
    parts += [instruction_section(content), start_section(content), pause_section(content)]
    parts += [_artifacts(content), _method(content)]
    return frame("Latency report", parts)


def _headline(content: Content) -> str:
    """The fastest artifact of the user's, and its ratio to each baseline."""
    case = content.case()
    if case is None:
        return "<p>Nothing has been measured yet.</p>"
    subjects = [row for row in case.rows if "subject" in row.entry.roles]
    if content.emulated or not subjects:
        return ""
    best = min(subjects, key=lambda row: row.wall.median)
    where = f"{case.length} tokens, {text.threads(case.threads)}"
    lead = (
        f'<p class="lead"><strong>{escape(best.entry.label)}</strong> takes '
        f"<strong>{text.milliseconds(best.wall.median)} ms</strong> ({where}, batch 1; weights "
        f"{text.weights(best.entry)}; {text.megabytes(best.entry.bytes)} MB)."
    )
    ratios = [row for row in case.ratios if row.subject == best.entry.label]
    if not ratios:
        return lead + " No baseline was measured, so this report holds no ratios.</p>"
    cards = "".join(
        f"<li><b>{row.ratio.value:.2f}&times;</b>as fast as {escape(row.baseline)}"
        f"<small>95 % interval {text.interval(row.ratio.interval)}</small></li>"
        for row in ratios
    )
    return f'{lead} Against each baseline of this run:</p>\n<ul class="cards">{cards}</ul>'


def _ratio_section(content: Content) -> str:
    cases = [case for case in content.cases if case.ratios]
    if not cases:
        return ""
    return (
        "<h2>How many times as fast</h2>\n<p>Each row names its baseline. Below each ratio: its "
        "95 % interval, and the ratio of CPU times.</p>\n"
        + "\n".join(_ratios(content, case) for case in cases)
    )


def _ratios(content: Content, case: CaseContent) -> str:
    subjects = list(dict.fromkeys(row.subject for row in case.ratios))
    cells = {(row.subject, row.baseline): row for row in case.ratios}
    entries = {entry.label: entry for entry in content.entries}
    rows = []
    for baseline in dict.fromkeys(row.baseline for row in case.ratios):
        row = [named(entries[baseline])]
        for subject in subjects:
            found = cells.get((subject, baseline))
            row.append(
                f"<strong>{found.ratio.value:.2f}&times;</strong>"
                f"<small>{text.interval(found.ratio.interval)}</small>"
                f"<small>CPU {found.cpu_ratio.value:.2f}&times;</small>"
                if found
                else "-"
            )
        rows.append(row)
    header = ["against the baseline", *(named(entries[subject]) for subject in subjects)]
    return f"<h3>{where(case)}</h3>\n{table(header, rows)}"


def _latency_section(content: Content) -> str:
    cases = [case for case in content.cases if case.rows]
    return "<h2>Latencies</h2>\n" + "\n".join(_latencies(case) for case in cases) if cases else ""


def _latencies(case: CaseContent) -> str:
    metered = any(row.energy_mj is not None for row in case.rows)
    header = (
        *("artifact", "median ms", "p90", "p99", "MAD", "CPU ms", *(["mJ"] if metered else [])),
        *("first ms", "load ms", "file MB", "memory MB", "of peak", "cosine", "samples"),
    )
    rows = [
        [
            named(row.entry),
            f"<strong>{text.milliseconds(row.wall.median)}</strong>"
            f"<small>{text.millisecond_interval(row.wall_interval)}</small>",
            text.milliseconds(row.wall.p90),
            text.milliseconds(row.wall.p99),
            text.milliseconds(row.wall.deviation),
            text.milliseconds(row.cpu.median),
            *([text.known(row.energy_mj)] if metered else []),
            text.known(row.first_ms),
            text.known(row.entry.load_ms),
            text.megabytes(row.entry.bytes),
            text.known(row.model_memory_bytes, text.megabytes) + _pss(row),
            text.percent(row.share_of_peak),
            text.cosine(row.cosine),
            f"{row.wall.samples}<small>{row.wall.blocks} blocks</small>",
        ]
        for row in case.rows
    ]
    peak = f'<p class="soft">{text.peak_line(case.peak_gflops)}</p>' if case.peak_gflops else ""
    return f"<h3>{where(case)}</h3>\n{table(header, rows)}\n{peak}"


def _pss(row: Row) -> str:
    if row.pss_bytes is None:
        return ""
    return f"<small>PSS {text.megabytes(row.pss_bytes)}</small>"


def _artifacts(content: Content) -> str:
    header = ("artifact", "role", "file", "source", "weights", "accuracy", "SHA-256")
    rows = [
        [
            named(entry),
            escape(", ".join(entry.roles)),
            f"<code>{escape(entry.folder)}/{escape(entry.path)}</code>",
            escape(entry.source),
            text.weights(entry),
            text.accuracy(entry),
            f'<code title="{escape(entry.sha256)}">{escape(entry.sha256[:16])}</code>',
        ]
        for entry in content.entries
    ]
    return f"<h2>Artifacts</h2>\n{table(header, rows, words=range(1, 5))}"


def _method(content: Content) -> str:
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in method(content))
    device = content.device
    facts = [
        ("processor", device["model"]),
        ("architecture", device["architecture"]),
        ("cores", str(device["cores"])),
        ("instruction sets", " ".join(device["features"]) or "none known"),
        ("memory", f"{device['memory_bytes'] / 2**30:.1f} GiB"),
        ("system", device["system"]),
        *text.device_facts(content),
        *((name.replace("_", " "), str(value)) for name, value in device["extra"].items()),
        ("versions", text.versions_line(content.versions)),
        ("command", " ".join(content.command)),
    ]
    rows = [[escape(name), escape(value)] for name, value in facts]
    return (
        f"<h2>How it was measured</h2>\n{paragraphs}\n<h2>Where it was measured</h2>\n"
        f"{table(('', ''), rows, words=range(1, 2))}"
    )
