"""The middle of a search: mixes are compared in PyTorch, on the examples to choose by."""

from collections.abc import Sequence
from dataclasses import replace

from exporter.search.candidates import Candidate, foreseen
from exporter.search.clock import Clock
from exporter.search.examples import Examples, Judgement, judge
from exporter.search.found import Wish
from exporter.search.network import Networks
from exporter.search.records import Records

#: Uniform mixes beside the usual one that are compared with the chain's.
_UNIFORM = 2


class Comparison:
    """``known`` are the candidates of a search by name, which learn what is found of them here."""

    def __init__(
        self,
        networks: Networks,
        examples: Examples,
        records: Records,
        known: dict[str, Candidate],
        wish: Wish,
        clock: Clock,
    ) -> None:
        self._networks, self._examples, self._records = networks, examples, records
        self._known, self._wish, self._clock = known, wish, clock

    def halve(self, chained: Sequence[str]) -> int:
        """The place of the cheapest mix of the chain that keeps the budget on the part to choose
        by; 0 (fp32) when none does. What is cheaper than one that breaks it is taken to do so."""
        kept, broken = 0, len(chained)
        while broken - kept > 1:
            # The cheapest first: where it keeps the budget there is nothing to look for.
            place = len(chained) - 1 if broken == len(chained) else (kept + broken) // 2
            if self._clock.left() < 0:
                better = "smaller" if self._wish.smallest else "faster"
                self._clock.cut(
                    f"all mixes were compared, of which a {better} one may keep the budget too"
                )
                break
            loss = self._judged(chained[place]).loss
            if loss <= self._wish.budget:
                kept = place
            else:
                broken = place
        return kept

    def fitting(self, uniform: Sequence[str], usual: str, best: str) -> list[str]:
        """The usual mix, and those uniform ones that promise to be cheaper than ``best``, where
        they keep the budget on the part to choose by."""
        goal = self._wish.smallest
        costs = {name: foreseen(self._known[name], goal) for name in (*uniform, best)}
        cheaper = sorted((n for n in uniform if costs[n] < costs[best]), key=costs.__getitem__)
        fitting = []
        for name in dict.fromkeys((usual, *cheaper[:_UNIFORM])):
            if name != usual and self._clock.left() < 0:
                self._clock.cut("all mixes that treat every layer alike were compared")
            elif self._judged(name).loss <= self._wish.budget:
                fitting.append(name)
        return fitting

    def _judged(self, name: str) -> Judgement:
        """A mix's reference on the part to choose by."""
        known = self._known[name]
        judgement = self._records.searched(known.mix)
        if judgement is None:
            with self._clock.step(f"{name}: accuracy in PyTorch") as detail:
                logits = self._networks.logits(known.mix, self._examples, detail)
            judgement = judge(logits, self._examples)
            self._records.keep_searched(known.mix, judgement)
        self._known[name] = replace(known, searched=judgement)
        return judgement
