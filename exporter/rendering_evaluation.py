"""What ``evaluate`` found, as a terminal shows it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from exporter.accuracy_tables import (
    CLASSES_HEADER,
    class_rows,
    classes_note,
    divergences,
    mcnemar_result,
    percent,
    points_lost,
)
from exporter.rendering import draw_line, draw_table

if TYPE_CHECKING:  # these import torch, which takes seconds: not needed to draw
    from exporter.evaluation import Evaluation


def show_evaluation(console: Console, result: "Evaluation") -> None:
    """Accuracy of PyTorch and of every artifact, then how they differ, then the labels."""
    measured = {path: found.as_dict() for path, found in result.accuracies.items()}
    rows = []
    for path, found in measured.items():
        low, high = found["interval"]
        accuracy = f"{found['accuracy']:.2%} ({low * 100:.2f} to {high * 100:.2f})"
        rows.append([path, accuracy, points_lost(found), f"{found['agreement']:.2%}"])
    if rows:
        header = ["artifact", "accuracy (95 %)", "points lost (95 %)", "agreement"]
        draw_table(console, header, rows)
        console.print()
        _differences(console, measured)
        _classes(console, measured)
    for found in list(measured.values())[:1]:
        skipped = f", {result.skipped} without a label skipped" if result.skipped else ""
        draw_line(
            console,
            f"{result.examples} examples of {result.data}{skipped}: PyTorch fp32 "
            f"{found['reference_accuracy']:.2%}, most frequent label {found['majority']:.2%}, "
            f"{found['truncated']} examples cut to the model's length.",
        )
    for path, check in result.checks.items():
        remarks = check.detail.partition("; ")[2]
        if check.passed and remarks:
            draw_line(console, f"{path}: {remarks}.")
    if result.not_saved:
        draw_line(console, f"Not written into the bundle: {result.not_saved}.")
    if result.saved:
        draw_line(console, "Written into the bundle's manifest and model card.")
    changed = [path for path in measured if path not in result.saved and not result.not_saved]
    for path in changed:
        draw_line(console, f"{path}: not written into the bundle, it was built again meanwhile.")


def _differences(console: Console, measured: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [
        [path, mcnemar_result(found), divergences(found), percent(found["macro_f1"])]
        for path, found in measured.items()
    ]
    draw_table(console, ["artifact", "McNemar p", "divergence", "macro F1"], rows)
    draw_line(
        console,
        "McNemar p: of the examples that PyTorch : the artifact alone gets right. Divergence: of "
        "the probabilities from PyTorch's, mean and largest, in nats.",
    )


def _classes(console: Console, measured: Mapping[str, Mapping[str, Any]]) -> None:
    for path, found in measured.items():
        if rows := class_rows(found):
            console.print()
            draw_line(console, path)
            draw_table(console, CLASSES_HEADER, rows)
    if note := classes_note(tuple(measured.values())):
        draw_line(console, note)
    console.print()
