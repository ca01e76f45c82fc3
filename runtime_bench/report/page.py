"""What the pages share: the frame, notes, tables, and how an artifact is named."""

from collections.abc import Sequence
from html import escape

from runtime_bench.report import text
from runtime_bench.report.content import CaseContent, Content, EntryContent
from runtime_bench.report.style import CSS


def frame(title: str, parts: Sequence[str], css: str = CSS) -> str:
    """A self-contained page: no scripts, nothing fetched from anywhere."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{css}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def heading(title: str, content: Content) -> str:
    """Title, badges, the device, and that it was emulated where it was."""
    badges = []
    if content.emulated:
        badges.append("emulated")
    if not content.complete:
        badges.append("incomplete")
    marks = "".join(f'<span class="badge">{badge}</span>' for badge in badges)
    emulation = text.emulation(content)
    return (
        f"<h1>{escape(title)}{marks}</h1>\n"
        f'<p class="soft">{escape(text.device_line(content.device))}. '
        f"Measured <time>{escape(content.started[:10])}</time>.</p>"
        + (f'\n<p class="emulated">{escape(emulation)}</p>' if emulation else "")
    )


def notes(content: Content) -> str:
    items = [f'<li class="bad"><strong>Failed:</strong> {escape(f)}</li>' for f in content.failures]
    items += [
        f"<li>{escape(warning.message)} <em>{escape(warning.remedy)}</em></li>"
        for warning in content.warnings
    ]
    items += [f'<li class="plain">{escape(notice)}</li>' for notice in content.notices]
    if not items:
        return ""
    return f'<h2>Warnings and notes</h2>\n<ul class="notes">{"".join(items)}</ul>'


def where(case: CaseContent) -> str:
    return f"{case.length} tokens, {text.threads(case.threads)}"


def named(entry: EntryContent) -> str:
    kind = "stock" if entry.recipe == "stock" else "ours"
    family = entry.family if entry.family in ("squeezebert", "bert") else None
    variable = f"--{family}-{kind}" if family else "--other"
    key = f'<span class="key" style="background: var({variable})"></span>'
    return f"{key}{escape(entry.label)}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = ()) -> str:
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
