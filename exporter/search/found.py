"""What a search was asked for, and what it found."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.errors import CheckFailed, OutOfTime
from exporter.quantization.mix import Mix
from exporter.search.candidates import Candidate, summary
from exporter.search.costs import Costs
from exporter.search.examples import Judgement, examples_in_all
from exporter.search.preparation import Prepared
from exporter.search.texts import TextsUsed
from exporter.verification.paired_statistics import examples_needed


@dataclass(frozen=True)
class Wish:
    """``budget``: the share of right answers that may be lost; ``smallest`` instead of fastest."""

    budget: float
    smallest: bool
    seconds: float


@dataclass(frozen=True)
class Found:
    """The choice and everything that it rests on.

    ``looks`` counts the artifacts whose judgement decided on the choice, one after the other: the
    last was taken. ``searching`` is the number of examples to choose by.
    ``cuts`` are those of ``Clock``.
    """

    target: str
    wish: Wish
    chosen: Candidate
    usual: Candidate
    candidates: tuple[Candidate, ...]
    prepared: Prepared
    costs: Costs
    texts: TextsUsed
    searching: int
    looks: int
    cuts: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def mix(self) -> Mix:
        """For ``SourceModel.mix``."""
        return self.chosen.mix

    def lines(self) -> tuple[str, ...]:
        """What was chosen, what it was measured to lose, and what it gains."""
        confirmed, built = self.chosen.confirmed, self.chosen.built
        if confirmed is None or built is None:
            raise ValueError("a choice that was never confirmed")
        usual = self.usual.built
        size = "" if usual is None else f", {built.bytes / usual.bytes:.2f} times as large"
        allowed = f"{self.wish.budget * 100:g} are allowed"
        lost = f"Loses {points(confirmed)}, measured on {confirmed.examples} examples"
        if self.looks <= 1:
            lost = f"{lost} that had no part in the choice; {allowed}."
        else:
            lost = (
                f"{lost}; {allowed}. These examples had a part in the choice: {self.looks} "
                "artifacts were judged on them before one was taken, and each further one makes it "
                "likelier that one is within the budget by luck."
            )
        doubt = doubtful(confirmed, self.wish.budget)
        return (
            f"Chosen: {summary(self.chosen)}.",
            *((provisional(self.cuts),) if self.cuts else ()),
            lost,
            f"{built.bytes / 1e6:.1f} MB, {built.latency.median:.2f} ms at {self.costs.tokens} "
            f"tokens on one thread: {built.ratio.median:.2f} times as long as "
            f"{self.usual.name}{size}.",
            *((doubt,) if doubt else ()),
            *self.remarks,
        )


def provisional(cuts: Iterable[str]) -> str:
    """That the time was over before ``cuts`` (those of ``Clock``), and how to go on."""
    return (
        f"Provisional: the time was over before {', and before '.join(cuts)}. The same command "
        "goes on from here; --search-minutes gives it more time."
    )


def doubtful(judgement: Judgement, budget: float) -> str:
    """ "", or that the interval of the loss reaches further than the budget, and how many examples
    would tell: with the loss, and the share of discordant examples, as they were measured."""
    reaches = judgement.loss_interval[1]
    if reaches <= budget:
        return ""
    left = budget - judgement.loss
    doubt = (
        f"The 95 % interval of the loss reaches to {reaches * 100:.2f} points, further than the "
        f"budget: that it is within {budget * 100:g} points was measured, and may be luck."
    )
    # Half an example: losses are whole ones, and shares are rounded. With nothing left, however
    # many examples there are, the interval reaches further.
    if left * judgement.examples < 0.5:
        return f"{doubt} The measured loss is the whole budget: more examples may not tell."
    judging = examples_needed(left, judgement.discordant)
    return (
        f"{doubt} About {judging} examples to judge by ({examples_in_all(judging)} labelled ones "
        "in all) would tell, if the loss stays as it is."
    )


def nothing_found(known: Iterable[Candidate], wish: Wish, *, over: bool) -> CheckFailed:
    """With the best mix that is not fp32, and its loss. ``over``: so was the time, and it is
    no verdict (OutOfTime)."""
    quantized = [c for c in known if set(c.methods.values()) != {"fp32"}]
    confirmed = [(c.confirmed, c) for c in quantized if c.confirmed is not None]
    searched = [(c.searched, c) for c in quantized if c.searched is not None]
    # What was judged counts; what it was chosen by only where nothing came so far.
    judgement, best = min(confirmed or searched, key=lambda item: item[0].loss)
    enough = max(judgement.loss, wish.budget)
    in_time = " in the time given" if over else ""
    kind = OutOfTime if over else CheckFailed
    return kind(
        f"Nothing that is quantized was found{in_time} to lose {wish.budget * 100:g} points at "
        f"most. The best, {best.name} ({summary(best)}), loses {points(judgement)}, measured on "
        f"{judgement.examples} examples.",
        f"Allow more, such as --budget {math.ceil(enough * 1000) / 10 + 0.1:.1f}, "
        "more time with --search-minutes, or build fp32: --precision fp32",
    )


def points(judgement: Judgement) -> str:
    """ "0.12 points (95 % interval -0.10 to 0.34)"."""
    low, high = judgement.loss_interval
    return f"{judgement.loss * 100:.2f} points (95 % interval {low * 100:.2f} to {high * 100:.2f})"
