"""Cold and warm starts: a process of its own that opens the model and runs it once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from runtime_bench.records import StartRecord
from runtime_bench.results import Results
from runtime_bench.samples import NANOSECONDS


@dataclass(frozen=True)
class StartTimes:
    """Medians over ``count`` starts, in ms: opening the model, and its first inference."""

    count: int
    load_ms: float
    first_ms: float


@dataclass(frozen=True)
class StartRow:
    """Starts of one artifact (its label). ``cold``: the file was to leave the system's page cache.

    ``cached_bytes``: the most of it that stayed there before a cold start, None where that is not
    known of every one.
    """

    entry: str
    length: int
    threads: int
    cold: StartTimes | None
    warm: StartTimes | None
    cached_bytes: int | None = None


def start_rows(results: Results, labels: Mapping[str, str]) -> tuple[StartRow, ...]:
    """A row for each artifact and case that starts were measured of; none of an emulated device."""
    if results.run.device["emulated"]:
        return ()
    places = dict.fromkeys((item.entry, item.length, item.threads) for item in results.starts)
    rows = []
    for entry, length, threads in places:
        found = [
            item
            for item in results.starts
            if (item.entry, item.length, item.threads) == (entry, length, threads)
        ]
        rows.append(
            StartRow(
                entry=labels[entry],
                length=length,
                threads=threads,
                cold=_times([item for item in found if item.cold]),
                warm=_times([item for item in found if not item.cold]),
                cached_bytes=_cached([item for item in found if item.cold]),
            )
        )
    return tuple(rows)


def _cached(starts: Sequence[StartRecord]) -> int | None:
    known = [item.cached_bytes for item in starts if item.cached_bytes is not None]
    if any(known):
        return max(known)
    return 0 if known and len(known) == len(starts) else None


def _times(starts: Sequence[StartRecord]) -> StartTimes | None:
    if not starts:
        return None
    return StartTimes(
        count=len(starts),
        load_ms=float(np.median([item.load_ns for item in starts])) * NANOSECONDS,
        first_ms=float(np.median([item.first_inference_ns for item in starts])) * NANOSECONDS,
    )
