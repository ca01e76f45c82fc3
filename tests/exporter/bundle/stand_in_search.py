"""Builds within a budget, whose search is replaced by a stand-in."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exporter.bundle import build
from exporter.mixing import Budget
from exporter.model.config import SourceModel
from exporter.quantization.mix import Mix, uniform_mix
from exporter.search import report, search

MIXED = "onnx/model_mixed.onnx"


def int8_mix(model: SourceModel) -> Mix:
    """What the stand-in finds, if nothing else is asked for."""
    return uniform_mix(model.config, model.task, "int8_tensor", "int8")


def stand_in(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the search finds, or an error to raise; and how often and with what it was asked."""
    state: dict[str, Any] = {"calls": 0, "error": None, "loss": 0.001, "looks": 1, "mix": int8_mix}

    def choose_mix(checkpoint: Any, *_: Any, **options: Any) -> Any:
        state["calls"] += 1
        state.update(budget=options["budget"], texts=options["texts"])
        if state["error"] is not None:
            raise state["error"]
        confirmed = SimpleNamespace(loss=state["loss"], loss_interval=(-0.01, 0.01), examples=70)
        return SimpleNamespace(
            mix=state["mix"](checkpoint.model),
            chosen=SimpleNamespace(confirmed=confirmed),
            wish=SimpleNamespace(budget=options["budget"], smallest=options["smallest"]),
            texts=SimpleNamespace(record=None),
            looks=state["looks"],
            lines=lambda: ("Chosen.",),
        )

    monkeypatch.setattr(search, "choose_mix", choose_mix)
    monkeypatch.setattr(report, "write_report", lambda *_: None)
    monkeypatch.setattr("exporter.search.examples.check_enough", lambda *_: None)
    monkeypatch.setattr("exporter.mixing.check_label_order", lambda *_: None)
    return state


def built(folder: Path, out: Path, data: Path, points: float = 5.0, **options: Any) -> Any:
    """``build`` within a budget of ``points``."""
    return build(str(folder), out, budget=Budget(points), eval_data=data, **options)
