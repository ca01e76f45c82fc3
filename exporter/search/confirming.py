"""The last part of a search: artifacts are built, timed, and judged on the examples kept back.

What loses more than the budget there is refused. Every further artifact that is judged makes it
likelier that one passes by luck, which is why they are counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from exporter.search.candidates import Built, Candidate, foreseen
from exporter.search.clock import Clock
from exporter.search.examples import Judgement
from exporter.search.found import Wish
from exporter.search.records import Records
from exporter.search.workshop import Workshop

#: An artifact that broke the budget is followed by a mix with this share of its divergence at most.
#: A choice, no measurement. Nearer to 1 the next one is hardly slower or larger, but there are more
#: looks before one passes, each of which takes a build and all examples, and makes luck likelier. A
#: smaller share may pass over a mix that would have done.
STEP_BACK = 0.7

#: Times whose intervals overlap count as equal up to this ratio of their medians, and the smallest
#: of equals is taken. A choice, no measurement: 3 % of the time are what a smaller file may cost;
#: the ratio also bounds what the wide intervals of a busy machine let pass as equal.
AS_FAST = 1.03


class Confirmation:
    """``known`` are the candidates of a search by name, which learn what is found of them here."""

    def __init__(
        self,
        shop: Workshop,
        records: Records,
        known: dict[str, Candidate],
        wish: Wish,
        clock: Clock,
    ) -> None:
        self._shop, self._records = shop, records
        self._known, self._wish, self._clock = known, wish, clock
        self._paths: dict[str, Path] = {}

    def choose(self, finalists: Sequence[str], chained: Sequence[str], usual: str) -> str | None:
        """The cheapest, as measured, of the finalists that the budget allows; None: there is none.

        One of the chain (``chained``, from the safest on) that is refused is followed by a safer
        one. When the time is over, no other artifact is begun.
        """
        self._build(finalists, usual)
        queue = [name for name in finalists if name in self._paths]
        queued = set(queue)
        while queue:
            name = cheapest(self._built(queue), smallest=self._wish.smallest)
            queue.remove(name)
            self._records.look(self._known[name].mix)
            if self._judge(name).loss <= self._wish.budget:
                self._compare(name, usual)
                return name
            divergences = {link: self._known[link].divergence for link in chained}
            next_one = safer(divergences, name)
            if self._clock.left() < 0:
                self._clock.cut("all mixes that may keep the budget were judged")
                break
            # The usual mix is built in any case, and may be one of the chain.
            if next_one is not None and next_one not in queued:
                self._build([next_one], usual)
                queue.append(next_one)
                queued.add(next_one)
        return None

    def _build(self, names: Sequence[str], usual: str) -> None:
        """Artifacts, times and sizes. Of ``names`` at least the one that is foreseen to be the
        cheapest; the usual one is what all are timed against."""
        goal = self._wish.smallest
        for place, name in enumerate(sorted(names, key=lambda n: foreseen(self._known[n], goal))):
            if place and self._clock.left() < 0:
                self._clock.cut("all mixes that may keep the budget were built")
                break
            self._write(name)
        self._write(usual)
        self._time([name for name in (usual, *names) if name in self._paths], usual)

    def _write(self, name: str) -> None:
        if name not in self._paths:
            with self._clock.step(f"{name}: build"):
                self._paths[name] = self._shop.write(self._known[name].mix, str(len(self._paths)))

    def _time(self, names: Sequence[str], usual: str) -> None:
        """Those that were not timed before, against the usual one."""
        fresh = [n for n in dict.fromkeys(names) if self._known[n].built is None]
        if not fresh:
            return
        with self._clock.step(f"time {', '.join(fresh)} against {usual}"):
            paths = {name: self._paths[name] for name in dict.fromkeys((usual, *fresh))}
            for name, built in self._shop.compare(paths, usual).items():
                if name in fresh:
                    self._known[name] = replace(self._known[name], built=built)

    def _compare(self, chosen: str, usual: str) -> None:
        """For the report, as long as there is time: the usual mix and fp32. Nothing depends on it,
        so that these are no looks."""
        if chosen != usual and self._clock.left() > 0:
            self._judge(usual)
        fp32 = next((n for n in self._known if n.startswith("fp32, ")), None)
        if fp32 is not None and self._clock.left() > 0:
            self._write(fp32)
            self._time([fp32], usual)

    def _judge(self, name: str) -> Judgement:
        """An artifact on the part to judge by."""
        known = self._known[name]
        judgement = self._records.confirmed(known.mix)
        if judgement is None:
            with self._clock.step(f"{name}: accuracy of the artifact") as detail:
                judgement = self._shop.judge(self._paths[name], detail)
            self._records.keep_confirmed(known.mix, judgement)
        self._known[name] = replace(known, confirmed=judgement)
        return judgement

    def _built(self, names: Sequence[str]) -> dict[str, Built]:
        return {n: built for n in names if (built := self._known[n].built) is not None}


def cheapest(found: Mapping[str, Built], *, smallest: bool) -> str:
    """As measured: of those that are as fast as the fastest, as far as can be told, the smallest;
    or the ``smallest``, and of equals the fastest. ValueError without any."""
    if smallest:
        return min(found, key=lambda name: (found[name].bytes, found[name].ratio.median))
    fastest = min(found.values(), key=lambda built: built.ratio.median).ratio
    equal = [
        name
        for name, built in found.items()
        if built.ratio.low <= fastest.median and built.ratio.median <= fastest.median * AS_FAST
    ]
    return min(equal, key=lambda name: found[name].bytes)


def safer(chain: Mapping[str, float], name: str) -> str | None:
    """The cheapest of a chain with ``STEP_BACK`` of the divergence of ``name``, or less.

    ``chain`` are divergences from the safest mix on, which is fp32. None where only that is safer,
    and for names that are not in the chain.
    """
    if name not in chain:
        return None
    limit = chain[name] * STEP_BACK
    quantized = list(chain)[1:]
    return next((found for found in reversed(quantized) if chain[found] <= limit), None)
