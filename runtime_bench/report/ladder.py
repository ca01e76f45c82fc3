"""The paper's table on the user's own device, as one page for a phone or a desk."""

from html import escape

from runtime_bench.report import text
from runtime_bench.report.content import Content
from runtime_bench.report.method import method
from runtime_bench.report.page import frame, heading, notes
from runtime_bench.report.rungs import (
    NAMES,
    PAPER,
    PAPER_BERT_SECONDS,
    PAPER_TIMES_AS_FAST,
    RUNTIMES,
    Ladder,
    Rung,
)
from runtime_bench.report.style import CSS, LADDER_CSS

NAME = "ladder"
FILE: str | None = "ladder.html"
_TITLE = "SqueezeBERT against BERT, on this device"


def render(content: Content) -> str:
    """The whole page: a ladder for each runtime, and the paper's figures beside it."""
    ladders = [ladder for ladder in content.ladders if any(rung.entry for rung in ladder.rungs)]
    empty = [ladder for ladder in content.ladders if ladder not in ladders]
    parts = [heading(_TITLE, content), _paper(content)]
    if not content.ladders:
        parts.append("<p>Nothing has been measured yet.</p>")
    parts += [_ladder(content, ladder) for ladder in ladders]
    parts += [_unmeasured(ladder) for ladder in empty]
    parts += [notes(content), _method(content)]
    return frame(_TITLE, parts, CSS + LADDER_CSS)


def _paper(content: Content) -> str:
    how = "counted on the emulated device" if content.emulated else "measured on the device"
    return (
        '<aside class="paper"><strong>The paper</strong> '
        f"({PAPER}): BERT-base takes {PAPER_BERT_SECONDS:g} s on a Pixel 3, SqueezeBERT is "
        f"{PAPER_TIMES_AS_FAST:g} times as fast. These are the authors' figures, of their phone "
        f"and the kernels of 2020; everything else here was {how} named above."
        "</aside>"
    )


def _ladder(content: Content, ladder: Ladder) -> str:
    unit = "instructions per inference" if content.emulated else "ms per inference"
    emulated = ", emulated" if content.emulated else ""
    first = ladder.rungs[0]
    against = f"Ratios are against {escape(first.name)}"
    if first.entry is None:
        against = f"Without {escape(first.name)} there are no ratios"
    elif not content.emulated:
        against += ", with 95 % intervals"
    costs = [cost for rung in ladder.rungs if (cost := _cost(rung)) is not None]
    items = "\n".join(_rung(rung, max(costs)) for rung in ladder.rungs)
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in ladder.remarks)
    return (
        f"<h2>{RUNTIMES[ladder.target]}: {unit}</h2>\n"
        f'<p class="soft">{ladder.length} tokens, {text.threads(ladder.threads)}, batch 1'
        f"{emulated}. {against}.</p>\n"
        f'<ol class="ladder">\n{items}\n</ol>'
        + (f'\n<ul class="remarks">{remarks}</ul>' if remarks else "")
    )


def _rung(rung: Rung, largest: float) -> str:
    cost = _cost(rung)
    if rung.entry is None or cost is None:
        return (
            f'<li class="missing"><h3>{escape(rung.name)}</h3><p>Not in this run. Fill it with:'
            f"</p><p><code>{escape(rung.command)}</code></p>{_of_paper(rung)}</li>"
        )
    kind = f"{rung.family}-{'stock' if rung.stock else 'ours'}"
    width = 100 * cost / largest
    facts = [f"{text.megabytes(rung.entry.bytes)} MB"]
    accuracy = text.accuracy(rung.entry)
    facts.append(f"accuracy {accuracy}" if accuracy != "-" else "accuracy not measured")
    return (
        f"<li><h3>{escape(rung.name)}</h3>"
        f'<p class="figures">{_amount(rung)}{_ratio(rung)}</p>'
        f'<div class="bar"><i style="width: {width:.1f}%; background: var(--{kind})"></i></div>'
        f'<p class="soft">{", ".join(facts)}</p>{_of_paper(rung)}</li>'
    )


def _amount(rung: Rung) -> str:
    if rung.counted is not None:
        return f"<b>{rung.counted.total:,}</b> instructions"
    if rung.row is None:
        return ""
    interval = text.millisecond_interval(rung.row.wall_interval)
    around = f" <small>{interval}</small>" if rung.row.wall_interval else ""
    return f"<b>{text.milliseconds(rung.row.wall.median)} ms</b>{around}"


def _ratio(rung: Rung) -> str:
    if rung.instruction_ratio is not None:
        return f"<span><b>{rung.instruction_ratio:.2f}&times;</b> fewer instructions</span>"
    if rung.ratio is None:
        return ""
    return (
        f"<span><b>{rung.ratio.value:.2f}&times;</b> as fast "
        f"<small>{text.interval(rung.ratio.interval)}</small></span>"
    )


def _of_paper(rung: Rung) -> str:
    return f'<p class="of-paper">The paper, Pixel 3: {escape(rung.paper)}</p>' if rung.paper else ""


def _cost(rung: Rung) -> float | None:
    if rung.counted is not None:
        return float(rung.counted.total)
    return rung.row.wall.median if rung.row is not None else None


def _unmeasured(ladder: Ladder) -> str:
    commands = dict.fromkeys(rung.command for rung in ladder.rungs)
    lines = "".join(f"<li><code>{escape(command)}</code></li>" for command in commands)
    return (
        f"<h2>{RUNTIMES[ladder.target]}</h2>\n<p>No rung of this runtime is in this run. Fill it "
        f'with:</p>\n<ul class="remarks">{lines}</ul>'
    )


def _method(content: Content) -> str:
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in method(content))
    facts = "".join(
        f"<p>{escape(name)}: {escape(value)}</p>" for name, value in text.device_facts(content)
    )
    rows = [
        f"<p>{escape(rung.name)}: {escape(rung.entry.label)}, SHA-256 "
        f"<code>{escape(rung.entry.sha256[:16])}</code>, {text.weights(rung.entry)}</p>"
        for ladder in content.ladders
        for rung in ladder.rungs
        if rung.entry is not None
    ]
    return (
        f"<details><summary>How it was measured</summary>{paragraphs}{facts}</details>\n"
        f"<details><summary>The artifacts</summary>{''.join(rows)}"
        f"<p>Versions: {escape(text.versions_line(content.versions))}</p>"
        f"<p>Command: <code>{escape(' '.join(content.command))}</code></p></details>\n"
        f'<p class="soft">{escape(" and ".join(NAMES.values()))} name architectures; whether '
        "weights are trained stands with each artifact.</p>"
    )
