"""Results of the commands as a terminal shows them."""

import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # these import torch, which takes seconds: not needed to draw
    from exporter.bundle import BuildResult
    from exporter.prediction import Prediction
    from exporter.recheck import Verification

_MEGABYTE = 1e6


def show_build(console: Console, result: "BuildResult") -> None:
    """The bundle's artifacts, or what a dry run would build."""
    if not (result.built or result.kept or result.refused):
        for path, reason in result.planned.items():
            draw_line(console, f"{path}: {reason}")
        draw_line(console, f"Nothing was written to {result.bundle}.")
        return
    artifacts = result.manifest.artifacts if result.manifest else ()
    rows = [
        [
            artifact.path,
            _state(artifact.path, result),
            f"{artifact.bytes / _MEGABYTE:.1f} MB",
            f"{artifact.accuracy['accuracy']:.2%}" if artifact.accuracy else "",
        ]
        for artifact in artifacts
    ]
    shown = {artifact.path for artifact in artifacts}
    rows.extend([path, "refused", "", ""] for path in result.refused if path not in shown)
    draw_table(console, ["artifact", "", "size", "accuracy"], rows)
    for artifact in artifacts:
        if artifact.not_run:
            draw_line(console, f"{artifact.path}: {artifact.not_run}")
    draw_line(console, f"Bundle: {result.bundle}")


def show_verification(console: Console, result: "Verification") -> None:
    """Every check with its finding, by artifact."""
    names = [check.name for report in result.reports.values() for check in report.checks]
    width = max(map(len, names), default=0)
    for path, report in result.reports.items():
        draw_line(console, path)
        for check in report.checks:
            verdict = "passed" if check.passed else "FAILED"
            _finding(console, f"  {verdict}  {check.name:<{width}}  ", check.detail)
        if path in result.not_checked:
            _finding(console, "  NOT CHECKED  ", result.not_checked[path])
    draw_line(console, f"{result.bundle}: {_verdict(result)}")


def _verdict(result: "Verification") -> str:
    if result.failed:
        return "NOT proved"
    if result.not_checked:
        return "not all was proved"
    if result.gated:
        return "proved (accuracy is not measured again: see evaluate)"
    return "files as recorded; a stock export passes no gate, so nothing is proved"


def show_prediction(console: Console, result: "Prediction") -> None:
    """The answer, in the form that fits the task."""
    answer = result.answer
    match result.task:
        case "sequence-classification":
            for item in answer["labels"][:10]:
                draw_line(console, f"{item['probability']:8.2%}  {item['label']}")
        case "token-classification":
            for item in answer["tokens"]:
                draw_line(console, f"{item['probability']:8.2%}  {item['label']}  {item['token']}")
        case "question-answering":
            place = f"characters {answer['start']} to {answer['end']}"
            draw_line(console, f"{answer['score']:8.2%}  {answer['text']}  ({place})")
        case "masked-lm":
            for mask in answer["masks"]:
                for item in mask["pieces"]:
                    draw_line(console, f"{item['probability']:8.2%}  {item['piece']}")
        case _:
            values = ", ".join(f"{value:.4f}" for value in answer["first_values"])
            draw_line(console, f"{answer['size']} values, norm {answer['norm']:.4f}: {values}, ...")
    draw_line(console, f"{result.tokens} tokens, {result.artifact}")
    if result.ranges is not None:
        from exporter.targets.coreml.interpreter import render_ranges

        draw_line(console, render_ranges(result.ranges))


def show_inspection(console: Console, found: Mapping[str, Any]) -> None:
    """A manifest, or one artifact's declarations."""
    if "schema" not in found:
        _show_artifact(console, found)
        return
    model = found["model"]
    draw_line(
        console,
        f"{model['architecture']} from {model['source']}"
        f"{'' if model['trained'] else ' (random weights)'}, recipe {found['recipe']}",
    )
    groups = ", ".join(f"{name} {count}" for name, count in model["groups"].items())
    draw_line(
        console,
        f"{model['layers']} layers, {model['hidden_size']} channels, {model['heads']} heads; "
        f"groups: {groups}; {model['parameters'] / 1e6:.2f} million parameters; "
        f"at most {model['max_length']} tokens",
    )
    if found["labels"]:
        draw_line(console, f"{len(found['labels'])} labels: {_some(found['labels'])}")
    rows = [
        [
            artifact["path"],
            artifact["flavour"],
            artifact["precision"],
            f"{artifact['bytes'] / _MEGABYTE:.1f} MB",
            artifact["sha256"][:12],
            f"{artifact['accuracy']['accuracy']:.2%}" if artifact["accuracy"] else "",
        ]
        for artifact in found["artifacts"]
    ]
    draw_table(console, ["artifact", "flavour", "precision", "size", "sha256", "accuracy"], rows)
    for artifact in found["artifacts"]:
        for check in artifact["verification"]["checks"]:
            verdict = "passed" if check["passed"] else "FAILED"
            draw_line(console, f"{artifact['path']}, {check['name']}: {verdict}, {check['detail']}")
    for problem in found.get("changed", ()):
        draw_line(console, f"changed since it was built: {problem}")


def _show_artifact(console: Console, found: Mapping[str, Any]) -> None:
    megabytes = found["bytes"] / _MEGABYTE
    about = f"{found['target']}, {megabytes:.1f} MB, {found['sha256'][:12]}"
    draw_line(console, f"{found['path']}: {about}")
    for kind in ("inputs", "outputs"):
        for tensor in found[kind]:
            shape = ", ".join(map(str, tensor["shape"]))
            sizes = {"string": "", "dictionary": f" of {shape} labels"}
            size = sizes.get(tensor["dtype"], f" [{shape}]")
            draw_line(console, f"{kind[:-1]} {tensor['name']}: {tensor['dtype']}{size}")
    for key, value in sorted(found["metadata"].items()):
        draw_line(console, f"{key}: {value if len(value) <= 200 else value[:200] + '...'}")


def _state(path: str, result: "BuildResult") -> str:
    if path in result.built:
        return "built"
    if path in result.refused:  # its new search ran out of time
        return "as it was"
    return "up to date" if path in result.kept else "not asked for"


def _some(names: Sequence[str], shown: int = 6) -> str:
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest


def draw_table(console: Console, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns under their names; the first one is never folded."""
    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(header):
        # A path that is folded cannot be copied; the other columns give way.
        table.add_column(name, overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)


def _finding(console: Console, label: str, text: str) -> None:
    """One line; a terminal that is too narrow for it goes on below the beginning of ``text``."""
    indent = " " * len(label)
    # Elsewhere (a file, grep) a finding stays one line.
    width = max(console.width, 2 * len(label)) if console.is_terminal else sys.maxsize
    lines = textwrap.wrap(
        text, width, initial_indent=label, subsequent_indent=indent, break_on_hyphens=False
    )
    draw_line(console, "\n".join(lines) or label.rstrip())


def draw_line(console: Console, text: str) -> None:
    """``text`` as it is, however long."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
