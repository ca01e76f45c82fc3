"""The labels of the picture of candidates can be read, however near its points are."""

import itertools

import pytest
from matplotlib.text import Annotation

from exporter.search import drawing
from exporter.search.drawing import draw_candidates
from tests.exporter.search.made_up import built, judgement, made_up

USUAL, CHOSEN = "int8_tensor, tables int8", "mix 13"


def crowd(step, mixes=14):
    """The usual mix last, the chosen one and others, each built and so far from the one before."""
    names = ["int8_token, tables int8", *(f"mix {14 - mixes + n}" for n in range(mixes)), USUAL]
    return [
        made_up(
            name,
            confirmed=judgement(20 + round(place * step * 20), 0, 4000),
            built=built(1 - place * step, round((1 - place * step) * 1e6)),
        )
        for place, name in enumerate(names)
    ]


@pytest.fixture
def figures(monkeypatch):
    """Those that are drawn."""
    found = []
    png = drawing._png
    monkeypatch.setattr(drawing, "_png", lambda figure: found.append(figure) or png(figure))
    return found


def test_only_what_was_judged_is_filled(figures):
    seen = judgement(10, 0, 1000)
    known = [
        made_up("mix 1", searched=seen, built=built(0.8, 800_000)),
        made_up("mix 2", searched=seen),
        made_up("mix 3", searched=seen, confirmed=seen, built=built(0.7, 700_000)),
        made_up(USUAL, confirmed=seen, built=built(1.0, 1_000_000)),
    ]
    draw_candidates(known, "mix 3", 0.02, known[-1], 32)
    for axes in figures[0].axes:
        marks = [line for line in axes.lines if line.get_marker() in ("o", "*")]
        assert len(marks) == len(known)
        assert sum(mark.get_markerfacecolor() != "none" for mark in marks) == 2
    assert figures[0].axes[0].get_xlabel().endswith(f"times that of {USUAL}")


def overlapping(boxes):
    return [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize("step", [0.0, 0.001, 0.01, 0.05])
def test_no_label_is_on_another(figures, step):
    known = crowd(step)
    draw_candidates(known, CHOSEN, 0.005, known[-1], 32)
    for axes in figures[0].axes:
        labels = [text for text in axes.texts if isinstance(text, Annotation)]
        assert not overlapping([label.get_window_extent() for label in labels])
        shown = {label.get_text() for label in labels}
        assert {"budget", f"{CHOSEN} (chosen)", USUAL} <= shown
        frame = axes.get_window_extent()
        for label in labels:
            box = label.get_window_extent()
            assert frame.x0 <= box.x0
            assert box.x1 <= frame.x1 + 1


def test_labels_with_room_are_all_there(figures):
    known = crowd(0.1, mixes=4)
    draw_candidates(known, CHOSEN, 0.005, known[-1], 32)
    for axes in figures[0].axes:
        assert len(axes.texts) == 1 + len(known)
