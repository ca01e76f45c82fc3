"""What the later run lacks: it failed there, or was left out."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from runtime_bench.comparison.changes import Case, Change, without_figures
from runtime_bench.comparison.matching import Pair
from runtime_bench.comparison.verdicts import Verdict
from runtime_bench.results import Results


def failed(after: Results, entry: str, label: str) -> list[Change]:
    """A change for each failure of ``entry`` in the later run, whatever it had measured before."""
    return [
        Change(label, record.length, record.threads, Verdict.FAILED, record.reason)
        for record in after.failures
        if record.entry == entry
    ]


def left_out(after: Results, label: str, cases: Sequence[Case | None]) -> list[Change]:
    """A change for each of the ``cases`` (None: all of them) that only the run before has."""
    reason = "Only in the run before."
    if not after.ends:
        reason += " The later run is not finished."
    return [without_figures(label, case, Verdict.MISSING, reason) for case in cases]


def nothing_in_common(
    before: Results,
    after: Results,
    pair: Pair,
    cases: tuple[AbstractSet[Case], AbstractSet[Case]],
) -> Change:
    """Why a pair has no case (``cases``: before, after) to be compared in."""
    ones, others = cases
    if ones and not others:
        return left_out(after, pair.label, [None])[0]
    reason = f"No case in common: {_words(ones)} before, {_words(others)} after."
    if not ones:
        found = [item.reason for item in before.failures if item.entry == pair.before["id"]]
        reason = "It was not measured before" + (f": {found[0]}" if found else ".")
    return without_figures(pair.label, None, Verdict.INCOMPARABLE, reason)


def _words(cases: AbstractSet[Case]) -> str:
    return ", ".join(
        f"{length} tokens with {threads} thread{'' if threads == 1 else 's'}"
        for length, threads in sorted(cases)
    )
