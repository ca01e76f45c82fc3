"""What a manifest says of accuracies, as the cells of tables: for terminals and model cards."""

from collections.abc import Mapping, Sequence
from typing import Any

CLASSES_HEADER = ("label", "examples", "precision", "recall", "F1")
#: Labels of an artifact that a table shows: the worst ones, where there are more.
SHOWN_LABELS = 5

_UNDEFINED = "-"


def percent(share: float | None) -> str:
    """``93.10%``, and a dash for a share of nothing."""
    return _UNDEFINED if share is None else f"{share:.2%}"


def points_lost(found: Mapping[str, Any]) -> str:
    """Points that PyTorch is better, with their 95 % interval."""
    low, high = found["loss_interval"]
    return f"{found['loss'] * 100:+.2f} ({low * 100:+.2f} to {high * 100:+.2f})"


def mcnemar_result(found: Mapping[str, Any]) -> str:
    """McNemar's p value with the counts that it follows from."""
    counts = f"{found['only_reference']} : {found['only_artifact']}"
    return f"{_p_value(found['p_value'])} ({counts})"


def divergences(found: Mapping[str, Any]) -> str:
    """The mean and the largest divergence."""
    return f"{found['mean_divergence']:.1e}, {found['max_divergence']:.1e}"


def class_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Under CLASSES_HEADER: the labels of an artifact, of many those with the least F1.

    Labels that the data lacks are left out; older manifests have none.
    """
    return [
        [
            figures["label"],
            str(figures["support"]),
            *(percent(figures[key]) for key in ("precision", "recall", "f1")),
        ]
        for figures in _shown(found)
    ]


def classes_note(found: Sequence[Mapping[str, Any]]) -> str:
    """What the table of the classes leaves out, of accuracies with the same labels; or ""."""
    most = max((len(_present(accuracy)) for accuracy in found), default=0)
    if most <= SHOWN_LABELS:
        return ""
    return f"The {SHOWN_LABELS} labels with the least F1, of the {most} that the data has."


def _shown(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    present = _present(found)
    if len(present) <= SHOWN_LABELS:
        return present
    return sorted(present, key=lambda figures: float(figures["f1"]))[:SHOWN_LABELS]


def _present(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [figures for figures in found.get("classes", ()) if figures["support"]]


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
