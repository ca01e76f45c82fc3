"""What a search was asked for, and what it found."""

from dataclasses import dataclass

from exporter.quantization.mix import Mix
from exporter.search.candidates import Candidate, summary
from exporter.search.costs import Costs
from exporter.search.examples import Judgement
from exporter.search.preparation import Prepared


@dataclass(frozen=True)
class Wish:
    """``budget``: the share of right answers that may be lost; ``smallest`` instead of fastest."""

    budget: float
    smallest: bool
    seconds: float


@dataclass(frozen=True)
class Found:
    """The choice and everything that it rests on; ``looks`` counts artifacts that were judged."""

    target: str
    wish: Wish
    chosen: Candidate
    usual: Candidate
    candidates: tuple[Candidate, ...]
    prepared: Prepared
    costs: Costs
    searching: int
    looks: int
    remarks: tuple[str, ...]

    @property
    def mix(self) -> Mix:
        """For ``SourceModel.mix``."""
        return self.chosen.mix

    def lines(self) -> tuple[str, ...]:
        """What was chosen, what it loses, and what it gains."""
        confirmed, built = self.chosen.confirmed, self.chosen.built
        if confirmed is None or built is None:
            raise ValueError("a choice that was never confirmed")
        usual = self.usual.built
        size = "" if usual is None else f", {built.bytes / usual.bytes:.2f} times as large"
        return (
            f"Chosen: {summary(self.chosen)}.",
            f"Loses {points(confirmed)} on {confirmed.examples} examples that had no part in the "
            f"choice; {self.wish.budget * 100:g} are allowed.",
            f"{built.bytes / 1e6:.1f} MB, {built.latency.median:.2f} ms at {self.costs.tokens} "
            f"tokens on one thread: {built.ratio.median:.2f} times as long as "
            f"{self.usual.name}{size}.",
            *self.remarks,
        )


def points(judgement: Judgement) -> str:
    """ "0.12 points (95 % interval -0.10 to 0.34)"."""
    low, high = judgement.loss_interval
    return f"{judgement.loss * 100:.2f} points (95 % interval {low * 100:.2f} to {high * 100:.2f})"
