"""A search that had finished gives its choice again, and one that had not goes on."""

import dataclasses

import numpy as np
import pytest
import torch

from exporter.quantization.mix import Mix
from exporter.quantization.rounding import Rounded
from exporter.search import records, sensitivity
from exporter.search.found import Wish
from exporter.search.journal import Journal
from exporter.search.preparation import Extent
from exporter.search.records import Records, search_key
from exporter.search.workshop import Workshop
from tests.exporter.search.made_up import judgement, made_up
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
    assert short.lines()[1].startswith("Provisional: the time was over before ")
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
        "verification/evaluation.py",
    }


JUDGED = judgement(3, 1, 1000)
SPEC = MixedTarget().artifacts(("mixed",), ("optimized",))[0]


def records_in(folder, spec=SPEC, **wish):
    """As another call finds them."""
    asked = Wish(**{"budget": 0.01, "smallest": False, "seconds": 60, **wish})
    return Records(Journal(folder / "journal"), "key", spec, asked)


def corrected_mix(level=1):
    """Mixes of other levels have the same text."""
    stored = Rounded(np.full((2, 32), level, np.int8), 4, np.ones((2, 1), np.float32), None)
    return Mix({"layer": "int4_tensor"}, corrected={"layer.weight": stored})


def test_a_judgement_is_that_of_its_own_levels(tmp_path):
    first, second = corrected_mix(1), corrected_mix(2)
    assert first.text() == second.text()
    known = records_in(tmp_path)
    known.keep_searched(first, JUDGED)
    known.keep_confirmed(first, JUDGED)
    again = records_in(tmp_path)
    assert again.searched(first) == again.confirmed(first) == JUDGED
    assert again.searched(second) is None
    assert again.confirmed(second) is None


def finish(folder, **options):
    known = dataclasses.replace(made_up("mix 1", confirmed=JUDGED), mix=corrected_mix())
    records_in(folder, **options).finish("mix 1", {"mix 1": known}, Extent(32, 64))
    return known


def test_a_finished_choice_is_restored_with_the_levels_that_were_judged(tmp_path):
    known = finish(tmp_path)
    finished = records_in(tmp_path).finished()
    assert (finished.chosen, finished.extent) == ("mix 1", Extent(32, 64))
    restored = finished.restored(corrected_mix().corrected)
    assert restored["mix 1"].mix.sha256 == known.mix.sha256
    assert restored["mix 1"].confirmed == JUDGED
    assert finished.restored(corrected_mix(2).corrected) is None
    assert finished.restored({}) is None


@pytest.mark.parametrize("name", ["machine_hash", "code_hash"])
def test_a_choice_is_finished_on_its_machine_and_with_its_code_alone(tmp_path, name, monkeypatch):
    finish(tmp_path)
    assert records_in(tmp_path).finished()
    monkeypatch.setattr(records, name, lambda *_: "another")
    assert records_in(tmp_path).finished() is None


@pytest.mark.parametrize(
    "other", [{"budget": 0.02}, {"smallest": True}], ids=lambda other: next(iter(other))
)
def test_a_choice_is_finished_for_its_wish_alone(tmp_path, other):
    finish(tmp_path)
    records_in(tmp_path).look(corrected_mix())
    assert records_in(tmp_path, seconds=1).finished()
    assert records_in(tmp_path, **other).finished() is None
    assert (records_in(tmp_path).looks, records_in(tmp_path, **other).looks) == (1, 0)


@pytest.mark.parametrize("change", ["flavour", "backend"])
def test_another_artifact_has_results_of_its_own(tmp_path, change):
    other = dataclasses.replace(SPEC, **{change: "other"})
    finish(tmp_path)
    known = records_in(tmp_path)
    known.keep_searched(corrected_mix(), JUDGED)
    known.keep_confirmed(corrected_mix(), JUDGED)
    known.look(corrected_mix())
    found = records_in(tmp_path, other)
    # What PyTorch computes of a mix is the same for all of them.
    assert found.searched(corrected_mix()) == JUDGED
    assert found.confirmed(corrected_mix()) is None
    assert found.finished() is None
    assert (known.looks, found.looks) == (1, 0)
