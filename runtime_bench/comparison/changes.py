"""What a comparison says of every artifact in every case."""

from dataclasses import dataclass

from runtime_bench.comparison.verdicts import Verdict
from runtime_bench.statistics import Interval

#: Sequence length and number of threads.
Case = tuple[int, int]


@dataclass(frozen=True)
class Change:
    """One artifact in one case (``length`` and ``threads`` None: in every case).

    ``before`` and ``after`` are medians in ``unit`` ("ms" or "instructions"); ``times_as_fast`` and
    its ``interval`` are of times only.
    """

    label: str
    length: int | None
    threads: int | None
    verdict: Verdict
    reason: str
    unit: str = ""
    before: float | None = None
    after: float | None = None
    times_as_fast: float | None = None
    interval: Interval | None = None
    same_file: bool = False


@dataclass(frozen=True)
class Comparison:
    """``obstacles`` hold for everything; ``notices`` say what else to know."""

    started_before: str
    started_after: str
    device: str
    emulated: bool
    limit: float
    changes: tuple[Change, ...]
    obstacles: tuple[str, ...]
    notices: tuple[str, ...]


def without_figures(label: str, case: Case | None, verdict: Verdict, reason: str) -> Change:
    """A verdict that no figures led to."""
    length, threads = case or (None, None)
    return Change(label, length, threads, verdict, reason)
