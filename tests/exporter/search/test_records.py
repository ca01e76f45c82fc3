"""A search that had finished gives its choice again, and one that had not goes on."""

import numpy as np
import pytest
import torch

from exporter.search import records, sensitivity
from exporter.search.records import search_key
from exporter.search.workshop import Workshop
from tests.exporter.search.mixed_target import MixedTarget


def refuse(*_, **__):
    raise AssertionError("measured again")


def test_a_finished_search_gives_its_choice_again_and_measures_nothing(
    run, found, folder, monkeypatch
):
    content = (folder / "measured.jsonl").read_text()
    for name in ("write", "compare", "judge"):
        monkeypatch.setattr(Workshop, name, refuse)
    again = run(folder)
    assert (folder / "measured.jsonl").read_text() == content
    assert again.chosen.as_dict() == found.chosen.as_dict()
    assert again.mix.sha256 == found.mix.sha256
    assert again.lines() == found.lines()
    seen = [[c.name for c in f.candidates if c.confirmed or c.searched] for f in (found, again)]
    assert seen[0] == seen[1]


def test_more_minutes_alone_change_no_choice(run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sensitivity, "MOST_EXAMPLES", 32)
        first = run(tmp_path)
    again = run(tmp_path, minutes=500)
    assert first.prepared.sensitivity.examples == 32
    assert again.prepared.sensitivity == first.prepared.sensitivity
    assert again.mix.sha256 == first.mix.sha256
    assert again.chosen.built == first.chosen.built


def test_lost_corrections_are_computed_again(run, found, folder):
    for path in folder.glob("corrected-*"):
        path.write_bytes(b"spoiled")
    assert run(folder).mix.sha256 == found.mix.sha256


def test_without_time_for_a_choice_the_usual_mix_is_judged_and_the_next_call_goes_on(
    run, found, folder
):
    short = run(folder, budget=0.035, minutes=1e-9)
    assert short.chosen.name == short.usual.name
    assert short.chosen.confirmed.loss <= 0.035
    assert short.looks == 1
    assert any("The time was over" in line for line in short.lines())
    longer = run(folder, budget=0.035)
    assert longer.chosen.name == found.chosen.name != short.chosen.name
    # The usual one was judged to choose it before.
    assert longer.looks == 2
    assert any("2 artifacts were judged on them" in line for line in longer.lines())
    assert run(folder, budget=0.035).looks == 2


def test_what_a_search_leaves_behind_is_removed_at_the_start_of_the_next(run, found, folder):
    kept = list(folder.glob("corrected-*"))
    assert bool(kept) == bool(found.mix.corrected)
    (folder / "corrected-0123-4567.npz").write_bytes(b"of another model")
    (folder / ".partial-killed").mkdir()
    (folder / ".partial-killed" / "model.bin").write_bytes(b"half")
    run(folder)
    assert list(folder.glob("corrected-*")) == kept
    assert not list(folder.glob(".partial-*"))


def key(target=None, **changes):
    rows = [{"input_ids": np.arange(3)[None]}]
    facts = {"source_hash": "a", "data_hash": "b", "count": 9, "rows": rows, **changes}
    return search_key(target=target or MixedTarget(), **facts)


@pytest.mark.parametrize(
    "changes",
    [
        {"source_hash": "c"},
        {"data_hash": "c"},
        {"count": 8},
        {"rows": [{"input_ids": np.arange(4)[None]}]},
        {"target": MixedTarget(spoil=1.0)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_key_of_a_search_changes_with_what_it_depends_on(changes):
    assert key() == key()
    assert key(**changes) != key()


@pytest.mark.parametrize("module", [torch, np], ids=["torch", "numpy"])
def test_the_key_of_a_search_changes_with_what_computes(module, monkeypatch):
    before = key()
    monkeypatch.setattr(module, "__version__", "0")
    assert key() != before


def test_the_key_of_a_search_covers_the_code_that_measures(monkeypatch):
    places = []
    monkeypatch.setattr(records, "code_hash", lambda _, *found: places.extend(found) or "")
    key()
    assert all(place.exists() for place in places)
    names = {f"{place.parent.name}/{place.name}" for place in places}
    assert names >= {
        "exporter/model",
        "exporter/quantization",
        "search/preparation.py",
        "search/workshop.py",
        "search/levels.py",
        "verification/classification.py",
    }
