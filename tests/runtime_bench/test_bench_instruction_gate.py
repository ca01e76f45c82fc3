"""The gate on instruction counts: what it pairs, what it refuses, and its exit codes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime_bench.errors import InputError
from runtime_bench.instruction_gate import TOLERANCE, Outcome, check, run_gate, table
from runtime_bench.records import (
    FailureRecord,
    InstructionsRecord,
    LoadRecord,
    Record,
    RunRecord,
)
from runtime_bench.results import Results, ResultsWriter

TOTAL = 1_000_000
MODEL = {"source": "random:tiny", "source_hash": "0" * 64, "layers": 2, "groups": {"query": 4}}
Totals = tuple[int, ...]


def results(
    totals: dict[str, Totals],
    *,
    profile: str = "cortex-a76",
    length: int = 128,
    model: dict[str, Any] | None = None,
    recipe: str = "squeezebert-export",
    emulator: str = "7.2",
    runtime: str = "1.31.1",
    project: str = "0.1",
) -> Results:
    """A run that counted each artifact of ``totals``: path -> totals of its inferences."""
    bundle = {"folder": "b", "recipe": recipe, "model": MODEL if model is None else model}
    entries = tuple(
        {"id": f"e{index}", "label": path, "bundle": bundle, "artifact": {"path": path}}
        for index, path in enumerate(totals)
    )
    versions = {"emulator": emulator, "squeezebert-mobile": project}
    device = {"name": f"arm64:{profile}"}
    run = RunRecord("", (), device, versions, (length,), (1,), {}, entries, (), ())
    return Results(
        run,
        loads=tuple(
            LoadRecord(f"e{index}", 1, 0, 0, 0, {"onnxruntime": runtime})
            for index in range(len(totals))
        ),
        instructions=tuple(
            InstructionsRecord(f"e{index}", length, 1, profile, tuple(map(counts, each)), {})
            for index, each in enumerate(totals.values())
        ),
    )


def counts(total: int) -> dict[str, int]:
    return {"total": total, "dot": 0, "matrix": 0, "fmla": 0, "other": total}


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (0.0, Outcome.SAME),
        (0.9 * TOLERANCE, Outcome.SAME),
        (-0.9 * TOLERANCE, Outcome.SAME),
        (1.1 * TOLERANCE, Outcome.MORE),
        (-1.1 * TOLERANCE, Outcome.FEWER),
    ],
)
def test_more_instructions_than_the_tolerance_are_found(change: float, outcome: Outcome) -> None:
    before = results({"onnx/model.onnx": (TOTAL, TOTAL, 2 * TOTAL)})
    total = round(TOTAL * (1 + change))
    (verdict,) = check(results({"onnx/model.onnx": (total, total, 1)}), before)
    assert verdict.outcome is outcome
    assert verdict.change == pytest.approx(change, abs=1e-6)


def test_the_tolerance_can_be_chosen() -> None:
    before, now = results({"m": (TOTAL,)}), results({"m": (TOTAL + TOTAL // 100,)})
    assert check(now, before)[0].outcome is Outcome.MORE
    assert check(now, before, 0.02)[0].outcome is Outcome.SAME
    assert check(now, before, 0.009)[0].outcome is Outcome.MORE


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"profile": "i8mm"}, "the baseline is of cortex-a76"),
        ({"runtime": "1.32.0"}, "another version of onnxruntime"),
        ({"emulator": "8.2"}, "another version of emulator"),
    ],
)
def test_other_profiles_and_libraries_are_incomparable(other: dict[str, Any], reason: str) -> None:
    before = results({"m": (TOTAL,)})
    (verdict,) = check(results({"m": (2 * TOTAL,)}, **other), before)
    assert verdict.outcome is Outcome.INCOMPARABLE
    assert verdict.reason == reason


def test_the_project_and_new_weights_may_change() -> None:
    before = results({"m": (TOTAL,)})
    weights = {**MODEL, "source_hash": "1" * 64}
    (verdict,) = check(results({"m": (TOTAL,)}, project="0.2", model=weights), before)
    assert verdict.outcome is Outcome.SAME


@pytest.mark.parametrize(
    "other",
    [
        {"length": 64},
        {"recipe": "stock"},
        {"model": {**MODEL, "layers": 3}},
    ],
)
def test_what_is_not_the_same_is_not_paired(other: dict[str, Any]) -> None:
    before = results({"m": (TOTAL,)})
    with pytest.raises(InputError, match=r"no instruction count of an artifact.*new baseline"):
        check(results({"m": (TOTAL,)}, **other), before)


def test_what_is_not_counted_now_is_said() -> None:
    before = results({"m": (TOTAL,), "n": (TOTAL,)})
    verdicts = check(results({"m": (TOTAL,)}), before)
    assert [item.outcome for item in verdicts] == [Outcome.SAME, Outcome.MISSING]
    assert "not counted now" in table(verdicts, TOLERANCE)


def write(path: Path, found: Results) -> Path:
    records: list[Record] = [found.run, *found.loads, *found.instructions, *found.failures]
    with ResultsWriter(path, resume=False) as writer:
        for record in records:
            writer.write(record)
    return path


def gate(tmp_path: Path, now: Results, before: Results) -> tuple[int, str]:
    return run_gate(write(tmp_path / "now.jsonl", now), write(tmp_path / "before.jsonl", before))


def test_the_gate_has_exit_codes_and_a_table(tmp_path: Path) -> None:
    before = results({"m": (TOTAL,), "n": (TOTAL,)})
    code, text = gate(tmp_path, results({"m": (TOTAL,), "n": (TOTAL + 20_000,)}), before)
    assert code == 1
    head, columns, same, more, reason = text.splitlines()
    assert head == "Instructions per inference (emulated)"
    assert columns.split() == ["artifact", "tokens", "profile", "before", "now", "change"]
    assert same.split()[:-1] == ["m", "128", "cortex-a76", "1,000,000", "1,000,000", "+0.00%"]
    assert more.split() == ["n", "128", "cortex-a76", "1,000,000", "1,020,000", "+2.00%", "MORE"]
    assert "by over 0.5%" in reason


@pytest.mark.parametrize(
    ("now", "code", "hint"),
    [
        ({"totals": {"m": (TOTAL,)}}, 0, ""),
        ({"totals": {"m": (TOTAL // 2,)}}, 0, "keep the new file as the baseline"),
        ({"totals": {"m": (TOTAL * 2,)}}, 1, "More instructions"),
        ({"totals": {"m": (TOTAL,)}, "profile": "i8mm"}, 2, "needs a new baseline"),
    ],
)
def test_exit_codes(tmp_path: Path, now: dict[str, Any], code: int, hint: str) -> None:
    found, text = gate(tmp_path, results(**now), results({"m": (TOTAL,)}))
    assert found == code
    assert hint in text


def test_a_failed_artifact_does_not_pass(tmp_path: Path) -> None:
    now = results({"m": (TOTAL,)})
    failed = replace(now, failures=(FailureRecord("e1", 1, 128, "warm-up", "Wrong."),))
    assert gate(tmp_path, failed, results({"m": (TOTAL,), "n": (TOTAL,)}))[0] == 1


def test_a_baseline_that_is_none_is_said(tmp_path: Path) -> None:
    now = write(tmp_path / "now.jsonl", results({"m": (TOTAL,)}))
    with pytest.raises(InputError, match="cannot be read"):
        run_gate(now, tmp_path / "missing.jsonl")
