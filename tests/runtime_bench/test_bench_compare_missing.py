"""``compare`` where the later run failed, was cut off, or left something out."""

from dataclasses import replace
from typing import Any

from simulated_runs import Noise, Simulation, entry, simulate

from runtime_bench.comparison.changes import Comparison
from runtime_bench.comparison.compare import compare_results
from runtime_bench.comparison.document import exit_code, render
from runtime_bench.records import FailureRecord
from runtime_bench.results import Results

OURS = entry("e1", sha256="1" * 64)
STOCK = entry("e2", family="bert", recipe="stock", precision="fp32", roles=["baseline"])
RUN = Simulation([OURS, STOCK], {"e1": 20.0, "e2": 150.0, "peak": 6.0}, Noise(0.003, 0.003))


def later(**changes: Any) -> Results:
    return simulate(replace(RUN, **{"seed": 1, **changes}))


def compared(after: Results, before: Results | None = None) -> Comparison:
    return compare_results(before or simulate(RUN), after)


def verdicts(comparison: Comparison) -> list[str]:
    return [change.verdict.value for change in comparison.changes]


def flat(comparison: Comparison) -> str:
    return " ".join(render(comparison).split())


def failing(results: Results, entry: str, length: int | None, threads: int = 1) -> Results:
    record = FailureRecord(entry, threads, length, "block", "The runner was ended by SIGKILL.")
    return replace(results, failures=(*results.failures, record))


def test_an_artifact_that_failed_in_the_later_run_is_never_a_success() -> None:
    after = failing(later(milliseconds={"e2": 150.0, "peak": 6.0}), "e1", None)
    found = compared(after)
    assert verdicts(found) == ["FAILED", "SAME"]
    assert f"FAILED: {OURS['label']}, 1 thread: The runner was ended by SIGKILL." in flat(found)
    assert exit_code(found) == 1
    # The other way round it is only something that cannot be compared.
    back = compared(later(), after)
    assert verdicts(back) == ["INCOMPARABLE", "SAME"]
    assert "not measured before: The runner was ended by SIGKILL." in flat(back)
    assert (exit_code(back), exit_code(back, strict=True)) == (0, 1)


def test_what_was_measured_until_a_failure_is_no_result_of_that_case() -> None:
    before = simulate(replace(RUN, lengths=(32, 128, 384)))
    found = compared(failing(later(lengths=(32, 128)), "e1", 128), before)
    assert [(item.length, item.verdict.value) for item in found.changes] == [
        *((32, "SAME"), (128, "FAILED")),
        *((32, "SAME"), (128, "SAME"), (384, "MISSING")),
    ]
    assert exit_code(found) == 1


def test_a_failure_in_a_case_or_of_an_artifact_that_is_new_is_told() -> None:
    longer = failing(later(lengths=(128, 384)), "e1", 384)
    assert verdicts(compared(longer)) == ["SAME", "FAILED", "SAME"]
    new = failing(later(entries=[OURS, STOCK, entry("e3", precision="fp16")]), "e3", 128)
    assert verdicts(compared(new)) == ["SAME", "SAME", "FAILED"]


def test_an_artifact_or_a_case_that_is_gone_passes_only_without_strict() -> None:
    gone = compared(later(entries=[STOCK]))
    assert verdicts(gone) == ["SAME", "MISSING"]
    assert f"MISSING: {OURS['label']}: Only in the run before." in flat(gone)
    assert (exit_code(gone), exit_code(gone, strict=True)) == (0, 1)
    cut = replace(later(milliseconds={"e2": 150.0, "peak": 6.0}), ends=())
    found = compared(cut)
    assert verdicts(found) == ["MISSING", "SAME"]
    assert "The later run is not finished." in flat(found)
    assert (exit_code(found), exit_code(found, strict=True)) == (0, 1)
