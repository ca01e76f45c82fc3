"""The report as one self-contained HTML file: no scripts, nothing fetched from anywhere."""

from collections.abc import Sequence
from html import escape

from runtime_bench.report import text
from runtime_bench.report.content import CaseContent, Content, EntryContent
from runtime_bench.report.plots import make_plots
from runtime_bench.report.style import CSS

NAME = "html"
FILE: str | None = "report.html"


def render(content: Content) -> str:
    """The whole page."""
    parts = [_header(content), _headline(content)]
    parts += [
        f"<figure><h3>{escape(plot.title)}</h3><figcaption>{escape(plot.caption)}</figcaption>"
        f'<div role="img" aria-label="{escape(plot.title)}">{plot.svg}</div></figure>'
        for plot in make_plots(content)
    ]
    parts += [_notes(content), _ratio_section(content), _latency_section(content)]
    parts += [_artifacts(content), _method(content)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Latency report</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _header(content: Content) -> str:
    badges = []
    if content.device["emulated"]:
        badges.append("emulated")
    if not content.complete:
        badges.append("incomplete")
    marks = "".join(f'<span class="badge">{badge}</span>' for badge in badges)
    return (
        f"<h1>Latency report{marks}</h1>\n"
        f'<p class="soft">{escape(text.device_line(content.device))}. '
        f"Measured <time>{escape(content.started[:10])}</time>.</p>"
    )


def _headline(content: Content) -> str:
    """The fastest artifact of the user's, and its ratio to each baseline."""
    case = content.case()
    if case is None:
        return "<p>Nothing has been measured yet.</p>"
    subjects = [row for row in case.rows if "subject" in row.entry.roles]
    if not subjects:
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


def _notes(content: Content) -> str:
    items = [f'<li class="bad"><strong>Failed:</strong> {escape(f)}</li>' for f in content.failures]
    items += [
        f"<li>{escape(warning.message)} <em>{escape(warning.remedy)}</em></li>"
        for warning in content.warnings
    ]
    items += [f'<li class="plain">{escape(notice)}</li>' for notice in content.notices]
    if not items:
        return ""
    return f'<h2>Warnings and notes</h2>\n<ul class="notes">{"".join(items)}</ul>'


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
        row = [_named(entries[baseline])]
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
    header = ["against the baseline", *(_named(entries[subject]) for subject in subjects)]
    return f"<h3>{_where(case)}</h3>\n{_table(header, rows)}"


def _latency_section(content: Content) -> str:
    cases = [case for case in content.cases if case.rows]
    return "<h2>Latencies</h2>\n" + "\n".join(_latencies(case) for case in cases) if cases else ""


def _latencies(case: CaseContent) -> str:
    header = (
        *("artifact", "median ms", "p90", "p99", "MAD", "CPU ms", "first ms", "load ms"),
        *("file MB", "memory MB", "of peak", "cosine", "samples"),
    )
    rows = [
        [
            _named(row.entry),
            f"<strong>{text.milliseconds(row.wall.median)}</strong>"
            f"<small>{text.millisecond_interval(row.wall_interval)}</small>",
            text.milliseconds(row.wall.p90),
            text.milliseconds(row.wall.p99),
            text.milliseconds(row.wall.deviation),
            text.milliseconds(row.cpu.median),
            text.milliseconds(row.first_ms),
            "-" if row.entry.load_ms is None else text.milliseconds(row.entry.load_ms),
            text.megabytes(row.entry.bytes),
            text.megabytes(row.model_memory_bytes),
            text.percent(row.share_of_peak),
            text.cosine(row.cosine),
            f"{row.wall.samples}<small>{row.wall.blocks} blocks</small>",
        ]
        for row in case.rows
    ]
    peak = f'<p class="soft">{text.peak_line(case.peak_gflops)}</p>' if case.peak_gflops else ""
    return f"<h3>{_where(case)}</h3>\n{_table(header, rows)}\n{peak}"


def _artifacts(content: Content) -> str:
    header = ("artifact", "role", "file", "source", "weights", "accuracy", "SHA-256")
    rows = [
        [
            _named(entry),
            escape(", ".join(entry.roles)),
            f"<code>{escape(entry.folder)}/{escape(entry.path)}</code>",
            escape(entry.source),
            text.weights(entry),
            text.accuracy(entry),
            f'<code title="{escape(entry.sha256)}">{escape(entry.sha256[:16])}</code>',
        ]
        for entry in content.entries
    ]
    return f"<h2>Artifacts</h2>\n{_table(header, rows, words=range(1, 5))}"


def _method(content: Content) -> str:
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in text.method(content))
    device = content.device
    facts = [
        ("processor", device["model"]),
        ("architecture", device["architecture"]),
        ("cores", str(device["cores"])),
        ("instruction sets", " ".join(device["features"]) or "none known"),
        ("memory", f"{device['memory_bytes'] / 2**30:.1f} GiB"),
        ("system", device["system"]),
        *((name.replace("_", " "), str(value)) for name, value in device["extra"].items()),
        ("versions", text.versions_line(content.versions)),
        ("command", " ".join(content.command)),
    ]
    rows = [[escape(name), escape(value)] for name, value in facts]
    return (
        f"<h2>How it was measured</h2>\n{paragraphs}\n<h2>Where it was measured</h2>\n"
        f"{_table(('', ''), rows, words=range(1, 2))}"
    )


def _where(case: CaseContent) -> str:
    return f"{case.length} tokens, {text.threads(case.threads)}"


def _named(entry: EntryContent) -> str:
    kind = "stock" if entry.recipe == "stock" else "ours"
    family = entry.family if entry.family in ("squeezebert", "bert") else None
    variable = f"--{family}-{kind}" if family else "--other"
    key = f'<span class="key" style="background: var({variable})"></span>'
    return f"{key}{escape(entry.label)}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = ()) -> str:
    """A table of ready HTML cells; the columns ``words`` are set to the left."""
    top = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="word">{cell}</td>' if index in words else f"<td>{cell}</td>"
            for index, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    head = f"<thead><tr>{top}</tr></thead>" if any(header) else ""
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'
