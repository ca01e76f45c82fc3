"""Two results files side by side: every artifact in every case that both have."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from runtime_bench.comparison.matching import Pair, match_entries
from runtime_bench.comparison.obstacles import (
    clock_obstacle,
    device_obstacles,
    entry_obstacles,
    reference_obstacle,
    runner_versions,
    version_differences,
)
from runtime_bench.comparison.verdicts import (
    EFFECT_LIMIT,
    INSTRUCTION_LIMIT,
    Judgement,
    Verdict,
    judge,
    judge_instructions,
)
from runtime_bench.records import InstructionsRecord
from runtime_bench.report.samples import counted_blocks, wall
from runtime_bench.results import Results
from runtime_bench.statistics import Blocks, Interval, independent_ratio, summarise


@dataclass(frozen=True)
class Change:
    """One artifact in one case (``length`` and ``threads`` None: in every case).

    ``before`` and ``after`` are medians in ``unit`` ("ms" or "instructions"); ``times_as_fast`` and
    its ``interval`` are of times only.
    """

    label: str
    length: int | None
    threads: int | None
    verdict: Verdict
    reason: str
    unit: str = ""
    before: float | None = None
    after: float | None = None
    times_as_fast: float | None = None
    interval: Interval | None = None
    same_file: bool = False


@dataclass(frozen=True)
class Comparison:
    """``obstacles`` hold for everything; ``notices`` say what else to know."""

    started_before: str
    started_after: str
    device: str
    emulated: bool
    limit: float
    changes: tuple[Change, ...]
    obstacles: tuple[str, ...]
    notices: tuple[str, ...]


def compare_results(
    before: Results,
    after: Results,
    *,
    limit: float = EFFECT_LIMIT,
    instruction_limit: float = INSTRUCTION_LIMIT,
    across: Collection[str] = (),
) -> Comparison:
    """Compare two runs, ``after`` being the newer one.

    ``limit``: relative difference of times below which two are the same; ``instruction_limit`` the
    same of counts. ``across``: of "runtime" and "system", what may differ because the user asks
    what it changed.
    """
    matching = match_entries(before, after)
    obstacles = device_obstacles(before, after, across)
    work = _Work(before, after, matching.pairs, limit, instruction_limit, across)
    changes = [change for pair in matching.pairs for change in work.changes(pair, obstacles)]
    notices = [f"Only in the run before: {label}." for label in matching.only_before]
    notices += [f"Only in the run after: {label}." for label in matching.only_after]
    notices += _allowed(before, after, matching.pairs, across)
    if not matching.pairs:
        notices.append("The two runs have no artifact in common.")
    return Comparison(
        started_before=before.run.started,
        started_after=after.run.started,
        device=str(after.run.device["model"]),
        emulated=bool(before.run.device["emulated"] or after.run.device["emulated"]),
        limit=limit,
        changes=tuple(changes),
        obstacles=tuple(obstacles),
        notices=tuple(notices),
    )


def _allowed(
    before: Results, after: Results, pairs: Sequence[Pair], across: Collection[str]
) -> list[str]:
    """Differences that the user asked about."""
    found = []
    if "system" in across and before.run.device["system"] != after.run.device["system"]:
        systems = f"{before.run.device['system']} -> {after.run.device['system']}"
        found.append(f"Across another system: {systems}.")
    if "runtime" in across:
        differences = {
            line
            for pair in pairs
            for threads in before.run.threads
            for line in version_differences(
                runner_versions(before, pair.before["id"], threads),
                runner_versions(after, pair.after["id"], threads),
            )
        }
        found += [f"Across another runtime: {line}." for line in sorted(differences)]
    return found


@dataclass(frozen=True)
class _Work:
    """Two runs and how to compare them."""

    before: Results
    after: Results
    pairs: Sequence[Pair]
    limit: float
    instruction_limit: float
    across: Collection[str]

    def changes(self, pair: Pair, obstacles: Sequence[str]) -> list[Change]:
        """One change for each case that both runs have; one for all of them where there is none."""
        if obstacles:
            return [self._refused(pair, None, obstacles[0])]
        ones = _cases(self.before, pair.before["id"])
        others = _cases(self.after, pair.after["id"])
        common = sorted(ones & others, key=lambda case: (case[1], case[0]))
        if not common:
            return [self._refused(pair, None, self._nothing_in_common(pair, ones, others))]
        return [self._change(pair, case) for case in common]

    def _change(self, pair: Pair, case: tuple[int, int]) -> Change:
        length, threads = case
        ids = pair.before["id"], pair.after["id"]
        versions = version_differences(
            runner_versions(self.before, ids[0], threads),
            runner_versions(self.after, ids[1], threads),
        )
        if versions and "runtime" not in self.across:
            reason = (
                f"The runtimes differ: {', '.join(versions)}. To ask what that changed: "
                "--across runtime."
            )
            return self._refused(pair, case, reason)
        entries = pair.before, pair.after
        found = entry_obstacles(self.before, self.after, entries, threads)
        if found:
            return self._refused(pair, case, found[0])
        if self.before.run.device["emulated"]:
            return self._counted(pair, case)
        reason = clock_obstacle(self.before, self.after, entries, length, threads)
        reason = reason or reference_obstacle(
            self._shift(_peak(self.before), _peak(self.after), case)
        )
        if reason:
            return self._refused(pair, case, reason)
        return self._timed(pair, case, versions)

    def _timed(self, pair: Pair, case: tuple[int, int], versions: Sequence[str]) -> Change:
        one = self._blocks(self.before, pair.before["id"], case)
        other = self._blocks(self.after, pair.after["id"], case)
        assert one is not None
        assert other is not None
        found = independent_ratio(one, other)
        judgement = judge(found, self._shifts(pair, case), self.limit)
        reason = judgement.reason
        if judgement.verdict in (Verdict.FASTER, Verdict.SLOWER) and pair.same_file:
            rest = "" if versions else " and so is the runtime"
            reason += f"; the file is the same in both runs{rest}"
        return Change(
            label=pair.label,
            length=case[0],
            threads=case[1],
            verdict=judgement.verdict,
            reason=reason,
            unit="ms",
            before=summarise(one).median,
            after=summarise(other).median,
            times_as_fast=found.value,
            interval=judgement.interval,
            same_file=pair.same_file,
        )

    def _counted(self, pair: Pair, case: tuple[int, int]) -> Change:
        one = _counts(self.before, pair.before["id"], case)
        other = _counts(self.after, pair.after["id"], case)
        if one.profile != other.profile:
            reason = f"Counted on other processors: {one.profile} before, {other.profile} after."
            return self._refused(pair, case, reason)
        totals = [[item["total"] for item in record.inferences] for record in (one, other)]
        judgement: Judgement = judge_instructions(totals[0], totals[1], self.instruction_limit)
        middles = [sorted(counts)[(len(counts) - 1) // 2] for counts in totals]
        return Change(
            label=pair.label,
            length=case[0],
            threads=case[1],
            verdict=judgement.verdict,
            reason=f"{judgement.reason}, emulated {one.profile}",
            unit="instructions",
            before=middles[0],
            after=middles[1],
            same_file=pair.same_file,
        )

    def _shifts(self, pair: Pair, case: tuple[int, int]) -> list[float]:
        """How many times as fast those became that had no reason to: the matrix product, and (their
        median) the other artifacts whose file, runtime and system are the same in both runs."""
        product = self._shift(_peak(self.before), _peak(self.after), case)
        unchanged = []
        for other in self.pairs:
            ids = other.before["id"], other.after["id"]
            ones = runner_versions(self.before, ids[0], case[1])
            others = runner_versions(self.after, ids[1], case[1])
            if other is not pair and other.same_file and ones == others and not self.across:
                unchanged.append(self._shift(*ids, case))
        known = [shift for shift in unchanged if shift is not None]
        middle = float(np.median(known)) if known else None
        return [shift for shift in (product, middle) if shift is not None]

    def _shift(self, before: str, after: str, case: tuple[int, int]) -> float | None:
        one = self._blocks(self.before, before, case)
        other = self._blocks(self.after, after, case)
        if one is None or other is None:
            return None
        return summarise(one).median / summarise(other).median

    def _blocks(self, results: Results, entry: str, case: tuple[int, int]) -> Blocks | None:
        blocks = counted_blocks(results, *case).get(entry)
        return wall(blocks) if blocks else None

    def _nothing_in_common(
        self, pair: Pair, ones: set[tuple[int, int]], others: set[tuple[int, int]]
    ) -> str:
        for results, entry, cases, when in (
            (self.before, pair.before, ones, "before"),
            (self.after, pair.after, others, "after"),
        ):
            if not cases:
                failed = [item.reason for item in results.failures if item.entry == entry["id"]]
                return f"It was not measured {when}" + (f": {failed[0]}" if failed else ".")
        return f"No case in common: {_words(ones)} before, {_words(others)} after."

    def _refused(self, pair: Pair, case: tuple[int, int] | None, reason: str) -> Change:
        length, threads = case or (None, None)
        return Change(pair.label, length, threads, Verdict.INCOMPARABLE, reason)


def _cases(results: Results, entry: str) -> set[tuple[int, int]]:
    """Lengths and threads that ``entry`` has samples or counts of."""
    if results.run.device["emulated"]:
        records: Sequence[InstructionsRecord] = results.instructions
        return {(item.length, item.threads) for item in records if item.entry == entry}
    return {
        (length, threads)
        for length in results.run.lengths
        for threads in results.run.threads
        if entry in counted_blocks(results, length, threads)
    }


def _counts(results: Results, entry: str, case: tuple[int, int]) -> InstructionsRecord:
    return next(
        item
        for item in results.instructions
        if (item.entry, item.length, item.threads) == (entry, *case)
    )


def _peak(results: Results) -> str:
    return next((item["id"] for item in results.run.entries if "peak" in item["roles"]), "")


def _words(cases: set[tuple[int, int]]) -> str:
    return ", ".join(
        f"{length} tokens with {threads} thread{'' if threads == 1 else 's'}"
        for length, threads in sorted(cases)
    )
