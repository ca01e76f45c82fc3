"""The folder that explains a choice: Markdown for people, JSON for programs, two pictures."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exporter.filesystem import write_atomically
from exporter.quantization.mix import METHODS, Unit, is_table, units
from exporter.search.candidates import Candidate, summary
from exporter.search.costs import Costs
from exporter.search.drawing import KIND_NAMES, draw_candidates, draw_sensitivity
from exporter.search.found import Found, points
from exporter.search.legend import legend
from exporter.search.machine import machine_name
from exporter.search.preparation import HELPS, Prepared
from exporter.search.products import product_units
from exporter.search.sensitivity import Sensitivity, by_kind
from exporter.search.texts import TextsUsed

SENSITIVITY_PICTURE = "sensitivity.png"
CANDIDATES_PICTURE = "candidates.png"
REPORT = "report.md"
DATA = "report.json"

_KINDS = {
    "embeddings": "embeddings",
    **KIND_NAMES,
    "head": "head",
    "embeddings.word": "word table",
    "embeddings.position": "position table",
    "smoothing": "smoothing (a place)",
}
_PRODUCTS = (
    "Attention products are fp32 in every mix, and no choice of a search. Measured is what they "
    "would do with 8-bit operands: {}. They have no weights."
)
_OPERANDS = {
    "tensor": "queries, keys, probabilities and values by the range of each whole tensor",
    "token": "queries, keys and probabilities by the range of each row, values by that of each "
    "channel",
}


def write_report(found: Found, folder: Path) -> Path:
    """``report.md`` with its pictures and ``report.json``; returns the path of the first.

    Raises UserError when the disk or folder refuses.
    """
    every = _units(found.prepared)
    tokens = found.costs.tokens
    picture = draw_candidates(
        found.candidates, found.chosen.name, found.wish.budget, found.usual, tokens
    )
    write_atomically(folder / CANDIDATES_PICTURE, picture)
    write_sensitivity_picture(found.prepared.sensitivity, every, folder)
    write_atomically(folder / DATA, _json(_document(found)))
    write_atomically(folder / REPORT, "\n".join(_markdown(found, every)).encode())
    return folder / REPORT


def write_sensitivity(
    prepared: Prepared, target: str, data: str, texts: TextsUsed, folder: Path
) -> Path:
    """The same of the sensitivities alone: ``report.md``, ``report.json`` and the heat map."""
    every, found = _units(prepared), prepared.sensitivity
    write_sensitivity_picture(found, every, folder)
    document = {"target": target, "data": data, **_sensitivity_document(found)}
    document |= {"smoothing": dict(prepared.gains), "calibration": texts.as_dict()}
    write_atomically(folder / DATA, _json(document))
    layers = {METHODS[m].inputs for name, m in found.effects if not is_table(name)}
    fitted = f"Fitted to {texts.count} texts of the same data, without their labels: smoothing"
    lines = [
        f"# Sensitivity for {target}, on {data}",
        "",
        *legend(found.effects),
        "",
        *(_PRODUCTS.format(_OPERANDS[way]) for way in _products_measured(found, every)),
        "",
    ]
    lines += [*sensitivity_lines(found, every), "", *_smoothing_lines(prepared), ""]
    lines += [f"{fitted} and static ranges." if "static" in layers else f"{fitted}.", ""]
    write_atomically(folder / REPORT, "\n".join(lines).encode())
    return folder / REPORT


def write_sensitivity_picture(found: Sensitivity, every: Sequence[Unit], folder: Path) -> None:
    """The heat map."""
    write_atomically(folder / SENSITIVITY_PICTURE, draw_sensitivity(found, every))


def sensitivity_lines(found: Sensitivity, every: Sequence[Unit]) -> list[str]:
    """A table of kinds by methods, the most sensitive units, and the heat map."""
    methods = list(dict.fromkeys(method for _, method in found.effects))
    kinds = by_kind(found, every)
    rows = [
        [_KINDS[kind], *(_nats(kinds[kind].get(method)) for method in methods)]
        for kind in sorted(kinds, key=list(_KINDS).index)
    ]
    worst = sorted(found.effects.items(), key=lambda item: -item[1].divergence)[:10]
    tops = [
        [name, method, _nats(e.mean_divergence), f"{e.agreement:.1%}", f"{e.loss * 100:+.1f}"]
        for (name, method), e in worst
    ]
    return [
        f"One unit at a time by a method, all others in fp32, on {found.examples} examples: the "
        "mean Kullback-Leibler divergence of the probabilities of labels from those of fp32, in "
        "nats. Of a kind: the sum over its layers.",
        "",
        *_table(["kind", *methods], rows),
        "",
        "The most sensitive:",
        "",
        *_table(["unit", "method", "divergence", "same answer", "points lost"], tops),
        "",
        f"![sensitivity by layer and kind]({SENSITIVITY_PICTURE})",
    ]


def _markdown(found: Found, every: Sequence[Unit]) -> list[str]:
    wish = found.wish
    goal = "smallest" if wish.smallest else "fastest"
    judged = [c for c in found.candidates if c.searched or c.confirmed or c.built]
    confirmed = found.chosen.confirmed
    examples = 0 if confirmed is None else confirmed.examples
    return [
        f"# How {found.chosen.name} was chosen for {found.target}",
        "",
        f"Asked for: the {goal} artifact that is measured to lose {wish.budget * 100:g} points of "
        "accuracy at most.",
        "",
        *(f"- {line}" for line in found.lines()),
        "",
        *legend(found.prepared.sensitivity.effects),
        "",
        "## What was compared",
        "",
        f"![points lost against latency and size]({CANDIDATES_PICTURE})",
        "",
        *_table(
            ["mix", "points lost, choosing", "points lost, judging", "latency", "size"],
            [_candidate_row(known, found) for known in sorted(judged, key=_order)],
        ),
        "",
        f"Choosing: {found.searching} examples, the mix computed in PyTorch. Judging: {examples} "
        f"other examples, the artifact itself. {_looks(found)} Latency: one thread, "
        f"{found.costs.tokens} tokens, against {found.usual.name} in the same rounds, with the "
        "95 % interval of the median; where an artifact was not built (~), foreseen from the costs "
        "below. Milliseconds and ratio of a row come from different rounds: compare only ratios.",
        "",
        f"Calibration: {found.texts.line}",
        "",
        "## Method of every layer",
        "",
        *_table(
            ["layer or table", "method", "divergence", "smoothed", "corrected"],
            [_unit_row(unit, found) for unit in every],
        ),
        "",
        "## Sensitivity",
        "",
        *sensitivity_lines(found.prepared.sensitivity, every),
        "",
        *_smoothing_lines(found.prepared),
        "",
        "## Costs",
        "",
        *cost_lines(found.costs),
        "",
    ]


def _looks(found: Found) -> str:
    """How many artifacts the examples for judging have decided on, and what follows."""
    if found.looks <= 1:
        return "One artifact was judged to choose it: these examples had no part in the choice."
    return (
        f"{found.looks} artifacts were judged to choose one, those of interrupted searches "
        "included: these examples had a part in the choice."
    )


def cost_lines(costs: Costs) -> list[str]:
    """A table of what methods take."""
    rows = []
    for kind, methods in costs.kinds.items():
        for method, cost in methods.items():
            if method not in costs.usual:
                rows.append(
                    [
                        _KINDS[kind],
                        method,
                        f"{cost.milliseconds * 1000:+.0f} ± {cost.spread * 1000:.0f}",
                        f"{cost.bytes_each:+.3f}",
                    ]
                )
    return [
        f"Measured on {machine_name()}, one thread, {costs.tokens} tokens, on two layers of the "
        f"model's widths, against {costs.usual[0]} (tables: {costs.usual[1]}); these two layers "
        f"take {costs.base.median:.2f} ms. Differences of less than one and a half times "
        "their 95 % interval (±) count as none. The interval is of this measurement: another run "
        "may differ by more.",
        "",
        *_table(["kind", "method", "microseconds a layer", "bytes a weight"], rows),
    ]


def _smoothing_lines(prepared: Prepared) -> list[str]:
    if not prepared.gains:
        return [f"Smoothing divides the divergence of no layer by {HELPS:g}: it is not used."]
    best = sorted(prepared.gains.items(), key=lambda item: -item[1])
    places = ", ".join(f"{name} ({gain:.1f})" for name, gain in best)
    return [f"Smoothing divides the divergence by {HELPS:g} or more at: {places}."]


def _candidate_row(known: Candidate, found: Found) -> list[str]:
    name = f"**{known.name}**" if known.name == found.chosen.name else known.name
    usual = found.usual.built
    if known.built is not None:
        ratio = known.built.ratio
        half = (ratio.high - ratio.low) / 2
        latency = f"{known.built.latency.median:.2f} ms ({ratio.median:.2f} ± {half:.2f} times)"
        size = f"{known.built.bytes / 1e6:.2f} MB"
    else:
        more = known.milliseconds - found.usual.milliseconds
        latency = "" if usual is None else f"~ {usual.latency.median + more:.2f} ms"
        grown = known.bytes - found.usual.bytes
        size = "" if usual is None else f"~ {(usual.bytes + grown) / 1e6:.2f} MB"
    return [
        f"{name}: {summary(known)}",
        "" if known.searched is None else points(known.searched),
        "" if known.confirmed is None else points(known.confirmed),
        latency,
        size,
    ]


def _unit_row(unit: Unit, found: Found) -> list[str]:
    method = found.chosen.methods[unit.name]
    effect = found.prepared.sensitivity.effects.get((unit.name, method))
    smoothed = unit.name in found.prepared.smoothed_units and method != "fp32"
    fixed = any(f"{member}.weight" in found.mix.corrected for member in unit.members)
    divergence = "0" if effect is None else _nats(effect.mean_divergence)
    return [unit.name, method, divergence, "yes" if smoothed else "", "yes" if fixed else ""]


def _document(found: Found) -> dict[str, Any]:
    return {
        "target": found.target,
        "wish": asdict(found.wish),
        "chosen": found.chosen.name,
        "usual": found.usual.name,
        "mix": json.loads(found.mix.text()),
        "lines": list(found.lines()),
        "judged_artifacts": found.looks,
        "searching_examples": found.searching,
        "candidates": [known.as_dict() for known in found.candidates],
        "sensitivity": _sensitivity_document(found.prepared.sensitivity),
        "smoothing": dict(found.prepared.gains),
        "calibration": found.texts.as_dict(),
        "costs": found.costs.as_dict(),
        "machine": machine_name(),
    }


def _sensitivity_document(found: Sensitivity) -> dict[str, Any]:
    return {
        "examples": found.examples,
        "units": [
            {
                "unit": name,
                "method": method,
                "loss": effect.loss,
                "agreement": effect.agreement,
                "divergence": effect.mean_divergence,
            }
            for (name, method), effect in found.effects.items()
        ],
    }


def _products_measured(found: Sensitivity, every: Sequence[Unit]) -> list[str]:
    """How operands of attention products were quantized: one way, or none."""
    names = {unit.name for unit in every if unit.kind == "products"}
    return sorted({METHODS[m].inputs for name, m in found.effects if name in names})


def _units(prepared: Prepared) -> tuple[Unit, ...]:
    """Those of mixes, and the attention products where they were measured."""
    model, measured = prepared.networks.model, {unit for unit, _ in prepared.sensitivity.effects}
    products = (unit for unit in product_units(model.config) if unit.name in measured)
    return (*units(model.config, model.task), *products)


def _order(known: Candidate) -> tuple[bool, int, str]:
    number = known.name.removeprefix("mix ")
    return (not number.isdigit(), int(number) if number.isdigit() else 0, known.name)


def _nats(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _json(document: Any) -> bytes:
    return f"{json.dumps(document, indent=1)}\n".encode()
