"""Labelled examples of a search: a part to choose by, and another to judge the choice by."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from exporter.errors import UserError
from exporter.targets.base import Array
from exporter.verification.accuracy import kullback_leibler
from exporter.verification.evaluation import Evaluator
from exporter.verification.paired_statistics import examples_needed, paired_difference_interval

#: Most examples that mixes are compared on; never more than a third of all.
MOST_SEARCHED = 2000

#: Decides which examples are in which part.
SEED = 0

#: Examples that are padded to one length.
_BATCH = 16

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """``rows``: int64 [length] arrays by name; ``labels`` [examples]; ``reference``: logits of
    the fp32 model, [examples, labels]."""

    rows: tuple[Mapping[str, Array], ...]
    labels: Array
    reference: Array

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: Sequence[int] | Indices) -> "Examples":
        """These examples, in this order."""
        rows = tuple(self.rows[index] for index in chosen)
        return Examples(rows, self.labels[chosen], self.reference[chosen])


@dataclass(frozen=True)
class Judgement:
    """A mix against fp32 on ``examples``; ``loss`` and ``agreement`` are shares of them.

    ``loss_interval`` holds the loss with 95 % (Bonett and Price, paired); ``discordant`` is the
    share that one of both alone gets right; ``divergence`` is the mean Kullback-Leibler divergence
    of the probabilities of labels, in nats.
    """

    examples: int
    loss: float
    loss_interval: tuple[float, float]
    discordant: float
    agreement: float
    divergence: float

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Judgement":
        """What ``asdict`` gave, as JSON gives it back."""
        low, high = found["loss_interval"]
        return cls(**{**found, "loss_interval": (low, high)})


def split(count: int, seed: int = SEED) -> tuple[Indices, Indices]:
    """Indices of the part to choose by (a third, ``MOST_SEARCHED`` at most) and of the rest.

    Both in an order that is as good as any: a part of a part is a sample too.
    """
    order = shuffled(count, seed)
    size = min(count // 3, MOST_SEARCHED)
    return order[:size], order[size:]


def shuffled(count: int, seed: int = SEED) -> Indices:
    """All indices in an order that the seed decides."""
    return np.random.default_rng(seed).permutation(count)


def examples_of(
    evaluator: Evaluator, *, reference: bool = True, longest: int | None = None
) -> Examples:
    """All of an evaluator's, in its order; without ``reference`` its logits are zeros.

    Texts are cut to ``longest`` tokens as ``Evaluator.cut`` does; the reference reads them whole.
    """
    labels = np.asarray(evaluator.data.labels)
    zeros = np.zeros((len(labels), len(evaluator.checkpoint.model.labels or ())), np.float32)
    logits = evaluator.reference_logits if reference else zeros
    return Examples(evaluator.cut(longest).rows, labels, logits)


def check_enough(count: int, budget: float) -> None:
    """UserError when ``count`` examples cannot tell whether a loss of ``budget`` (a share) is kept,
    and for a budget that is none.

    What is left for judging has to be so many that of two equal models the 95 % interval of the
    loss lies within the budget.
    """
    if not 0 < budget < 1:
        raise UserError(
            f"A budget of {budget * 100:g} points cannot be kept or judged.",
            "Say how many points of accuracy may be lost, such as --budget 0.5",
        )
    needed = examples_needed(budget)
    judging = len(split(count)[1])
    if judging >= needed:
        return
    least = smallest_budget(judging)
    raise UserError(
        f"{count:,} examples are too few to keep a budget of {budget * 100:g} points: {judging:,} "
        f"of them would judge the artifact, and at least {needed:,} are needed for that.",
        f"Give at least {examples_in_all(needed):,} labelled examples, or a larger budget. These "
        f"{count:,} examples can judge budgets from {least:g} points on.",
    )


def smallest_budget(judging: int) -> float:
    """The smallest budget in points, of two significant digits, that so many examples (1 or more)
    can judge: that of which ``examples_needed`` gives no more than them."""
    # Without discordant examples the interval is as narrow as it can be.
    points = paired_difference_interval(0, 0, judging)[1] * 100
    digit = math.floor(math.log10(points)) - 1
    larger = (float(f"{n}e{digit}") for n in itertools.count(math.ceil(points / 10**digit)))
    return next(found for found in larger if examples_needed(found / 100) <= judging)


def examples_in_all(judging: int) -> int:
    """The least number of which ``split`` leaves so many to judge by."""
    return judging + min((judging - 1) // 2, MOST_SEARCHED)


def judge(logits: Array, examples: Examples) -> Judgement:
    """``logits`` [examples, labels] of a mix, or of its artifact, on ``examples``."""
    expected, found = examples.reference.argmax(axis=1), logits.argmax(axis=1)
    right_before, right = expected == examples.labels, found == examples.labels
    only_before, only_after = int((right_before & ~right).sum()), int((right & ~right_before).sum())
    total = len(examples)
    return Judgement(
        total,
        (only_before - only_after) / total,
        paired_difference_interval(only_before, only_after, total),
        (only_before + only_after) / total,
        float((expected == found).mean()),
        float(kullback_leibler(examples.reference, logits).mean()),
    )


def batches(examples: Examples) -> list[list[int]]:
    """Indices in batches of similar length."""
    order = sorted(range(len(examples)), key=lambda index: len(examples.rows[index]["input_ids"]))
    return [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]


def padded(rows: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """[B, T] arrays, zero where a row has ended. Zero is a valid id everywhere, and is masked."""
    length = max(len(row["input_ids"]) for row in rows)
    return {
        name: np.stack([np.pad(row[name], (0, length - len(row[name]))) for row in rows])
        for name in rows[0]
    }
