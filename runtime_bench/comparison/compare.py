"""Two results files side by side: every artifact in every case that both have."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from runtime_bench.comparison.absent import failed, left_out, nothing_in_common
from runtime_bench.comparison.changes import Case, Change, Comparison, without_figures
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
from runtime_bench.results import Results
from runtime_bench.samples import counted_blocks, reference, wall
from runtime_bench.statistics import Blocks, independent_ratio, summarise


def compare_results(
    before: Results,
    after: Results,
    *,
    limit: float = EFFECT_LIMIT,
    instruction_limit: float = INSTRUCTION_LIMIT,
    across: Collection[str] = (),
    alike: bool = False,
) -> Comparison:
    """Compare two runs, ``after`` being the newer one.

    ``limit``: relative difference of times below which two are the same; ``instruction_limit`` the
    same of counts. ``across``: of "runtime" and "system", what may differ because the user asks
    what it changed. ``alike``: compare nothing but the same artifacts (see ``match_entries``).
    """
    matching = match_entries(before, after, alike=alike)
    obstacles = device_obstacles(before, after, across)
    work = _Work(before, after, matching.pairs, limit, instruction_limit, across)
    changes = [change for pair in matching.pairs for change in work.changes(pair, obstacles)]
    for entry in matching.only_before:
        changes += left_out(after, entry["label"], [None])
    for entry in matching.only_after:
        changes += failed(after, entry["id"], entry["label"])
    notices = [f"Only in the run after: {entry['label']}." for entry in matching.only_after]
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
        """One change for each case of the run before; one for all of them where it must be."""
        if obstacles:
            return [self._refused(pair, None, obstacles[0])]
        ones = _cases(self.before, pair.before["id"])
        others = _cases(self.after, pair.after["id"])
        lost = failed(self.after, pair.after["id"], pair.label)
        # What was measured until it failed is no result of that case.
        broken = {(change.length, change.threads) for change in lost}
        common = sorted((ones & others) - broken, key=lambda case: (case[1], case[0]))
        found = [self._change(pair, case) for case in common]
        if lost:
            return found + lost
        if not common:
            cases = ones, others
            return [nothing_in_common(self.before, self.after, pair, cases)]
        return found + left_out(self.after, pair.label, sorted(ones - others))

    def _change(self, pair: Pair, case: Case) -> Change:
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
        found = entry_obstacles(self.before, self.after, pair, threads)
        if found:
            return self._refused(pair, case, found[0])
        if self.before.run.device["emulated"]:
            return self._counted(pair, case)
        reason = clock_obstacle(self.before, self.after, entries, length, threads)
        reason = reason or reference_obstacle(self._device_shift(case))
        if reason:
            return self._refused(pair, case, reason)
        return self._timed(pair, case, versions)

    def _timed(self, pair: Pair, case: Case, versions: Sequence[str]) -> Change:
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

    def _counted(self, pair: Pair, case: Case) -> Change:
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

    def _shifts(self, pair: Pair, case: Case) -> list[float]:
        """How many times as fast those became that had no reason to: the matrix product, and (their
        median) the other artifacts whose file, runtime and system are the same in both runs."""
        product = self._device_shift(case)
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

    def _device_shift(self, case: Case) -> float | None:
        """How many times as fast the matrix product became; None where one run lacks it."""
        one, other = reference(self.before, *case), reference(self.after, *case)
        return one / other if one is not None and other is not None else None

    def _shift(self, before: str, after: str, case: Case) -> float | None:
        one = self._blocks(self.before, before, case)
        other = self._blocks(self.after, after, case)
        if one is None or other is None:
            return None
        return summarise(one).median / summarise(other).median

    def _blocks(self, results: Results, entry: str, case: Case) -> Blocks | None:
        blocks = counted_blocks(results, *case).get(entry)
        return wall(blocks) if blocks else None

    def _refused(self, pair: Pair, case: Case | None, reason: str) -> Change:
        return without_figures(pair.label, case, Verdict.INCOMPARABLE, reason)


def _cases(results: Results, entry: str) -> set[Case]:
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


def _counts(results: Results, entry: str, case: Case) -> InstructionsRecord:
    return next(
        item
        for item in results.instructions
        if (item.entry, item.length, item.threads) == (entry, *case)
    )
