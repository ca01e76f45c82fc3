"""The rounds of one case: which are complete, which direction is next, and how many are missing."""

from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from runtime_bench.plan import Plan, compared
from runtime_bench.records import BlockRecord
from runtime_bench.samples import wall
from runtime_bench.statistics import MINIMUM_ROUNDS, ratio


class Rounds:
    """What was measured of one case. ``failed``: ids of entries that are out, kept up to date.

    A round that was cut in the middle, or dropped, is measured again under a new number, since only
    blocks measured side by side are paired; its samples stay in the file.
    """

    def __init__(self, plan: Plan, failed: AbstractSet[str]) -> None:
        self._plan, self._failed = plan, failed
        self._blocks: dict[int, dict[str, BlockRecord]] = defaultdict(dict)
        self._dropped: set[int] = set()

    def add(self, block: BlockRecord) -> None:
        self._blocks[block.round][block.entry] = block

    def drop(self, number: int) -> None:
        self._dropped.add(number)

    def next_number(self) -> int:
        """Numbers are never used again."""
        return max(self._blocks, default=-1) + 1

    def blocks(self, number: int) -> Mapping[str, BlockRecord]:
        """The blocks of one round by entry."""
        return self._blocks[number]

    def last_complete(self) -> int | None:
        """The number of the newest round that counts; None where there is none."""
        complete = self.complete()
        return next(iter(complete[-1].values())).round if complete else None

    def complete(self, before: int | None = None) -> list[Mapping[str, BlockRecord]]:
        """The rounds that count and that every entry still in the run was measured in.

        With ``before`` only those of smaller numbers.
        """
        expected = {entry.id for entry in self._plan.entries} - self._failed
        return [
            self._blocks[number]
            for number in sorted(self._blocks)
            if number not in self._dropped
            and expected <= set(self._blocks[number])
            and (before is None or number < before)
        ]

    def missing(self) -> int:
        """How many rounds are still to be measured, as far as is known now."""
        settings = self._plan.settings
        if all(entry.id in self._failed for entry in self._plan.entries):
            return 0
        found = len(self.complete())
        if found < settings.blocks:
            return settings.blocks - found
        if found % 2:
            return 1
        # Stopping where the interval is narrow could make it promise too much. It does not: it
        # covered the true ratio in 94.7 to 99 % of simulated runs (250 and more each; 6 to 12
        # rounds, 10 to 20; normal and heavy tails).
        most = settings.most_blocks or 2 * settings.blocks
        return 2 if found < most and self._widest() > settings.interval_goal else 0

    def goes_forward(self) -> bool:
        """Whether the next round goes forward: the direction that complete rounds have less of.

        Not by the round's number: a round that was cut takes a number but counts for nothing.
        """
        complete = self.complete()
        forward = 0
        for measured in complete:
            places = [
                measured[entry.id].position for entry in self._plan.entries if entry.id in measured
            ]
            forward += places == sorted(places)
        return 2 * forward <= len(complete)

    def _widest(self) -> float:
        """Relative half width of the widest interval of a ratio; 0 with too few rounds for one."""
        complete = self.complete()
        if len(complete) < MINIMUM_ROUNDS:
            return 0.0
        alive = [entry for entry in self._plan.entries if entry.id not in self._failed]
        widths = [0.0]
        for subject, baseline in compared(alive):
            found = ratio(
                wall([measured[baseline.id] for measured in complete]),
                wall([measured[subject.id] for measured in complete]),
            )
            if found.interval is not None:
                widths.append((found.interval.high - found.interval.low) / 2 / found.value)
        return max(widths)
