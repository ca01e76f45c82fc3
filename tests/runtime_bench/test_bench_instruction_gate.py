"""The gate on instruction counts: what it pairs, what it refuses, and its exit codes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from simulated_runs import PHONE, Simulation, emulated, entry, simulate, write

from runtime_bench.comparison.verdicts import INSTRUCTION_LIMIT
from runtime_bench.errors import InputError
from runtime_bench.instruction_gate import run_gate
from runtime_bench.records import FailureRecord
from runtime_bench.results import Results

TOTAL = 1_000_000
OURS = entry("e1", sha256="1" * 64, label="ours")
STOCK = entry("e2", family="bert", recipe="stock", roles=["baseline"], label="stock")
SAME = {"e1": TOTAL, "e2": TOTAL}


def counted(
    totals: Mapping[str, int],
    entries: Sequence[Mapping[str, Any]] = (OURS, STOCK),
    *,
    profile: str = "cortex-a76",
    length: int = 128,
    runtime: str = "1.31.1",
    emulator: str = "7.2",
    project: str = "0.1",
    device: Mapping[str, Any] = PHONE,
) -> Results:
    """A run that counted ``totals`` by entry id, for each three inferences."""
    plan = Simulation(
        entries, {}, lengths=(length,), versions={"onnxruntime": runtime}, device=device
    )
    found = emulated(plan, {name: [total] * 3 for name, total in totals.items()}, profile)
    versions = {"emulator": emulator, "squeezebert-mobile": project}
    return replace(found, run=replace(found.run, versions=versions))


def gate(folder: Path, now: Results, before: Results) -> tuple[int, str]:
    return run_gate(write(now, folder / "now.jsonl"), write(before, folder / "before.jsonl"))


def changed(item: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """The same artifact, of a model with other ``facts``."""
    bundle = item["bundle"]
    return {**item, "bundle": {**bundle, "model": {**bundle["model"], **facts}}}


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (0.0, 0, "exactly as many"),
        (0.9 * INSTRUCTION_LIMIT, 0, "SAME"),
        (-0.9 * INSTRUCTION_LIMIT, 0, "SAME"),
        (1.1 * INSTRUCTION_LIMIT, 1, "MORE instructions than before by over 0.1%"),
        (-1.1 * INSTRUCTION_LIMIT, 0, "keep the new file as the baseline"),
    ],
)
def test_the_limit_is_that_of_compare(tmp_path: Path, change: float, code: int, words: str) -> None:
    now = counted({**SAME, "e1": round(TOTAL * (1 + change))})
    found, text = gate(tmp_path, now, counted(SAME))
    assert found == code
    assert words in text
    assert "EMULATED" in text


def test_two_bundles_of_one_source_do_not_hide_each_other(tmp_path: Path) -> None:
    """``run out/new --baseline out/old``: the subject alone became nine times as long."""
    new = entry("e1", folder="new", label="new")
    old = entry("e2", folder="old", label="old", roles=["baseline"])
    before = counted(SAME, [new, old])
    code, text = gate(tmp_path, counted({"e1": 9 * TOTAL, "e2": TOTAL}, [new, old]), before)
    assert code == 1
    assert "+8,000,000" in text
    assert gate(tmp_path / "same", counted(SAME, [new, old]), before)[0] == 0


def test_two_bundles_with_one_folder_name_are_told_apart_by_their_roles(tmp_path: Path) -> None:
    new = entry("e1", folder="mnli", label="new")
    old = entry("e2", folder="mnli", label="old", roles=["baseline"])
    before = counted(SAME, [new, old])
    assert gate(tmp_path, counted({"e1": 2 * TOTAL, "e2": TOTAL}, [new, old]), before)[0] == 1
    # Without roles to tell them apart by, nothing is said of them.
    twins = [new, {**old, "roles": ["subject"]}]
    code, text = gate(tmp_path / "twins", counted(SAME, twins), counted(SAME, twins))
    assert code == 2
    assert text.count("MISSING") >= 2


def test_one_of_two_twins_that_is_gone_is_paired_with_none(tmp_path: Path) -> None:
    twins = [entry("e1", folder="m", label="one"), entry("e2", folder="m", label="two")]
    assert gate(tmp_path, counted({"e1": TOTAL}, twins[:1]), counted(SAME, twins))[0] == 2


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"profile": "i8mm"}, "arm64:cortex-a76 before, arm64:i8mm after"),
        ({"runtime": "1.32.0"}, "onnxruntime 1.31.1 -> 1.32.0"),
        ({"emulator": "8.2"}, "emulator 7.2 -> 8.2"),
    ],
)
def test_other_profiles_and_libraries_are_incomparable(
    tmp_path: Path, other: dict[str, Any], reason: str
) -> None:
    now = counted(SAME, **other)
    code, text = gate(tmp_path, now, counted(SAME))
    assert code == 2
    assert reason in " ".join(text.split())
    assert "make a new baseline" in " ".join(text.split())


def test_the_project_new_weights_and_the_machine_below_may_change(tmp_path: Path) -> None:
    weights = {"source_hash": "0" * 64, "trained": True}
    ours = changed({**OURS, "artifact": {**OURS["artifact"], "sha256": "9" * 64}}, **weights)
    device = {**PHONE, "memory_bytes": 2**30, "extra": {"profile": "p", "description": "new"}}
    before = {**PHONE, "extra": {"profile": "p", "description": "old"}}
    now = counted(SAME, [ours, STOCK], project="0.2", device=device)
    assert gate(tmp_path, now, counted(SAME, device=before))[0] == 0


def test_another_architecture_under_the_same_name_is_incomparable(tmp_path: Path) -> None:
    now = counted(SAME, [changed(OURS, layers=3), STOCK])
    code, text = gate(tmp_path, now, counted(SAME))
    assert code == 2
    assert "The models differ, layers: 12 before, 3 after." in text


@pytest.mark.parametrize(
    "now",
    [
        counted({"e2": TOTAL}, [STOCK]),
        counted({"e2": TOTAL}),  # planned, but neither counted nor failed: cut off
        counted(SAME, length=32),
        counted(SAME, [{**OURS, "bundle": {**OURS["bundle"], "recipe": "other"}}, STOCK]),
    ],
    ids=["left out", "cut off", "another length", "another recipe"],
)
def test_what_is_not_counted_any_more_does_not_pass(tmp_path: Path, now: Results) -> None:
    code, text = gate(tmp_path, now, counted(SAME))
    assert code == 2
    assert "passes no gate" in text


def test_a_case_that_is_not_counted_any_more_does_not_pass(tmp_path: Path) -> None:
    plan = Simulation([OURS], {}, lengths=(32, 128))
    before = emulated(plan, {"e1": [TOTAL]})
    now = replace(before, instructions=before.instructions[:1])
    code, text = gate(tmp_path, now, before)
    assert code == 2
    assert "MISSING: ours, 128 tokens, 1 thread: Only in the run before." in text


@pytest.mark.parametrize("length", [None, 128])
def test_what_failed_now_is_a_regression(tmp_path: Path, length: int | None) -> None:
    now = counted({"e2": TOTAL})
    failed = replace(now, failures=(FailureRecord("e1", 1, length, "warm-up", "It is wrong."),))
    code, text = gate(tmp_path, failed, counted(SAME))
    assert code == 1
    assert "FAILED: ours" in text
    assert "It is wrong." in text


def test_new_artifacts_are_named_and_pass_unless_they_fail(tmp_path: Path) -> None:
    now, before = counted(SAME), counted({"e1": TOTAL}, [OURS])
    code, text = gate(tmp_path, now, before)
    assert code == 0
    assert "Only in the run after: stock." in text
    failed = replace(now, failures=(FailureRecord("e2", 1, 128, "count", "It died."),))
    assert gate(tmp_path / "failed", failed, before)[0] == 1


def test_a_baseline_that_is_none_is_said(tmp_path: Path) -> None:
    now = write(counted(SAME), tmp_path / "now.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        run_gate(now, tmp_path / "missing.jsonl")
    timed = write(simulate(Simulation([OURS], {"e1": 20.0}, rounds=2)), tmp_path / "timed.jsonl")
    with pytest.raises(InputError, match=r"no instruction count.*--device arm64"):
        run_gate(now, timed)
    assert run_gate(timed, now)[0] == 2
