"""Several things timed in turn, so that whatever slows the machine slows all of them."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

#: Fewer rounds have no interval of the median that lies inside the samples.
FEWEST_ROUNDS = 12

#: More make the interval no narrower than what changes from one run of a program to the next.
MOST_ROUNDS = 200

_WARM_UP = 3


@dataclass(frozen=True)
class Timing:
    """Milliseconds: the median of ``rounds``, and its 95 % interval."""

    median: float
    low: float
    high: float
    rounds: int

    @property
    def spread(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2


def interleaved(
    runs: Mapping[str, Callable[[], object]],
    *,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Milliseconds of each of ``runs`` in every round, after a warm-up.

    A round goes forth and back (A B B A) and counts the faster of both runs, the one that other
    work on the machine has disturbed less. It ends after ``seconds``, but not before
    ``FEWEST_ROUNDS``.
    """
    for run in runs.values():
        for _ in range(_WARM_UP):
            run()
    samples: dict[str, list[float]] = {name: [] for name in runs}
    started, rounds = clock(), 0
    while rounds < FEWEST_ROUNDS or (rounds < MOST_ROUNDS and clock() - started < seconds):
        taken = dict.fromkeys(runs, math.inf)
        for name in (*runs, *reversed(list(runs))):
            begun = clock()
            runs[name]()
            taken[name] = min(taken[name], (clock() - begun) * 1000)
        for name, value in taken.items():
            samples[name].append(value)
        rounds += 1
    return samples


def timing(samples: Sequence[float]) -> Timing:
    """The median, and the order statistics between which it lies with 95 % (binomial)."""
    ordered, count = sorted(samples), len(samples)
    # Normal approximation of the ranks (Conover 1999, section 3.2).
    half = 1.96 * math.sqrt(count) / 2
    low, high = math.floor(count / 2 - half), math.ceil(count / 2 + half) - 1
    return Timing(
        statistics.median(ordered), ordered[max(low, 0)], ordered[min(high, count - 1)], count
    )


def difference(samples: Sequence[float], base: Sequence[float]) -> Timing:
    """Of two lists of the same rounds, round by round."""
    return timing([own - other for own, other in zip(samples, base, strict=True)])
