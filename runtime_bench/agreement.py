"""Whether the artifacts of one bundle say the same: a fast wrong answer is worth nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from runtime_bench.plan import Case, Entry
from runtime_bench.records import CheckRecord


def comparisons(entries: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """Each artifact with the reference of its bundle: its first fp32 artifact, else its first."""
    bundles: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.bundle is not None:
            bundles.setdefault(str(entry.bundle.folder.resolve()), []).append(entry)
    pairs = []
    for members in bundles.values():
        exact = [
            entry for entry in members if entry.artifact and entry.artifact.precision == "fp32"
        ]
        reference = (exact or members)[0]
        pairs += [(entry, reference) for entry in members if entry is not reference]
    return pairs


def compare(
    entry: Entry,
    reference: Entry,
    case: Case,
    outputs: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> CheckRecord:
    """Cosine and largest difference over the recorded values of all outputs that both have.

    ``outputs`` is entry id -> output name -> description (runners/protocol.py). Both figures are
    None where the outputs cannot be compared (no common name, other shapes, all zero).
    """
    ours, theirs = outputs[entry.id], outputs[reference.id]
    names = [name for name in theirs if name in ours]
    left = np.array([value for name in names for value in ours[name]["values"]])
    right = np.array([value for name in names for value in theirs[name]["values"]])
    cosine = difference = None
    if names and left.shape == right.shape:
        difference = float(np.abs(left - right).max(initial=0.0))
        norms = float(np.linalg.norm(left) * np.linalg.norm(right))
        cosine = float(left @ right) / norms if norms else None
    return CheckRecord(entry.id, reference.id, case.length, case.threads, cosine, difference)
