"""Whether the names of labels stand in the model's order, as far as its answers can show it."""

import itertools
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from exporter.errors import UserError
from exporter.targets.base import Array
from exporter.verification.labelled_data import LabelledData
from exporter.verification.paired_statistics import wilson_interval

#: With more labels there are too many orders to try (7: 5,040), and mixing them up is rare.
_MOST_LABELS = 7


def check_label_order(logits: Array, data: LabelledData, names: Sequence[str]) -> None:
    """UserError where the answers fit another order of the model's labels, and not this one.

    ``logits`` are PyTorch's, [examples, labels]. The order is called wrong when the model is not
    right more often than the most frequent label alone, and with its labels in another order more
    often than either; each beyond chance (95 % intervals, that of the best order wide enough for
    as many orders as there are: Bonferroni).
    """
    if len(names) > _MOST_LABELS:
        return
    labels = np.asarray(data.labels)
    counts = np.zeros((len(names), len(names)), dtype=np.int64)  # [answer, label of the data]
    np.add.at(counts, (logits.argmax(axis=1), labels), 1)
    right, total = int(counts.trace()), len(data)
    rows = range(len(names))
    order = max(itertools.permutations(rows), key=lambda names_of: counts[rows, names_of].sum())
    best = int(counts[rows, order].sum())
    majority = np.bincount(labels).max() / total
    low, high = wilson_interval(right, total)
    if low <= majority and wilson_interval(best, total, _z(len(names)))[0] > max(majority, high):
        raise UserError(
            f"The labels stand in another order than the model's: PyTorch fp32 gives the label of "
            f"{data.name} to {right / total:.2%} of the examples with {', '.join(names)}, and to "
            f"{best / total:.2%} with {', '.join(names[i] for i in order)}.",
            "Correct the file, or build the bundle again with --labels in the model's order.",
        )


def _z(labels: int) -> float:
    """Of an interval that the best of all orders leaves by chance once in 20 times at most."""
    return NormalDist().inv_cdf(1 - 0.025 / math.factorial(labels))
