"""The regression gate for CI: does an artifact execute more instructions than it did before?

Counts of one device profile with the same libraries do not depend on the machine or its load, so
that one baseline file, kept beside the code, serves everywhere. What is compared, and what is more,
is what ``squeezebert-bench compare`` says; the gate is about the exit code.
"""

from pathlib import Path

from runtime_bench.comparison.changes import Comparison
from runtime_bench.comparison.compare import compare_results
from runtime_bench.comparison.document import render
from runtime_bench.comparison.verdicts import INSTRUCTION_LIMIT, Verdict
from runtime_bench.errors import InputError
from runtime_bench.results import read_results

_UNCOMPARED = (Verdict.INCOMPARABLE, Verdict.MISSING)


def run_gate(now: Path, baseline: Path) -> tuple[int, str]:
    """Compare two results files: the exit code and the table to print.

    0: no artifact executes more; 1: one does, or failed now; 2: something of the baseline was not
    counted now, or cannot be compared. New artifacts are named, and pass. Raises InputError for a
    file that is none, or a baseline without counts.
    """
    later, before = read_results(now), read_results(baseline)
    if not before.instructions:
        raise InputError(
            f"{baseline} has no instruction count to compare with.",
            "Make one with: squeezebert-bench run BUNDLE --device arm64 --out BASELINE.jsonl",
        )
    comparison = compare_results(before, later, alike=True)
    return _exit_code(comparison), "\n".join([render(comparison), *_advice(comparison)])


def _exit_code(comparison: Comparison) -> int:
    verdicts = {change.verdict for change in comparison.changes}
    if verdicts & {Verdict.MORE, Verdict.FAILED}:
        return 1
    return 2 if verdicts & set(_UNCOMPARED) or not verdicts else 0


def _advice(comparison: Comparison) -> list[str]:
    """What to do where something is not as it was."""
    verdicts = {change.verdict for change in comparison.changes}
    lines = []
    if Verdict.MORE in verdicts:
        lines.append(f"MORE instructions than before by over {INSTRUCTION_LIMIT:.1%}.")
    if Verdict.FEWER in verdicts:
        lines.append("Fewer than before: keep the new file as the baseline.")
    if verdicts & set(_UNCOMPARED):
        lines.append(
            "What is missing or incomparable passes no gate: count it too, or make a new baseline "
            "from this set-up."
        )
    return lines
