"""Finds the fastest (or smallest) mix that loses no more accuracy than a budget.

Mixes of the chain are halved on the part of the data to choose by; what is found is built, timed
against the usual mix, and judged on the part that had no say, where it may be refused.
"""

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from exporter.checkpoint import Checkpoint
from exporter.errors import CheckFailed, UserError
from exporter.filesystem import partial_folder
from exporter.progress import Detail, Progress, SilentProgress
from exporter.quantization.mix import Mix
from exporter.search.candidates import (
    Candidate,
    candidate,
    links,
    summary,
    uniform_methods,
)
from exporter.search.costs import Costs, measure_costs, unit_costs, usual_methods
from exporter.search.examples import Judgement, check_enough, examples_of, judge, split
from exporter.search.found import Found, Wish, points
from exporter.search.journal import Journal
from exporter.search.network import Networks
from exporter.search.preparation import (
    Prepared,
    Row,
    calibration_rows,
    correct,
    prepare,
    search_key,
)
from exporter.search.workshop import Workshop
from exporter.targets.base import ArtifactSpec, Target
from exporter.verification.evaluation import Evaluator

#: Minutes that a search takes at most, apart from the last artifact's proof.
DEFAULT_MINUTES = 20.0

#: Shares of the time that the two first stages may take.
_PREPARED, _COSTS = 0.4, 0.15

#: An artifact that broke the budget is followed by a mix with this share of its divergence.
_STEP_BACK = 0.7

#: Uniform mixes beside the usual one that are compared with the chain's.
_UNIFORM = 2

#: Times whose intervals overlap count as equal up to this ratio of their medians.
_AS_FAST = 1.03

_SILENT = SilentProgress()


def choose_mix(
    checkpoint: Checkpoint,
    target: Target,
    evaluator: Evaluator,
    calibration: Sequence[Row] = (),
    *,
    budget: float,
    folder: Path,
    spec: ArtifactSpec | None = None,
    smallest: bool = False,
    minutes: float = DEFAULT_MINUTES,
    progress: Progress = _SILENT,
) -> Found:
    """The fastest mix of ``target`` (``smallest``: that of the smallest file) within ``budget``.

    ``budget`` is the share of examples that may be lost against PyTorch in fp32 (0.005: half a
    point), as measured with the artifact on at least two thirds of the evaluator's data. Texts of
    ``calibration`` (int64 [1, T] by name) are for static ranges, smoothing and the correction of
    4-bit weights; without them texts of the other third are. ``folder`` keeps what was measured, so
    that the same call goes on where another ended. ``minutes`` bound all that follows PyTorch's
    answers in fp32, but for the artifact that is being judged when they are over.

    Raises UserError for too few examples and targets without mixes, and CheckFailed when nothing
    quantized keeps within the budget (with the best that was found) or the time was too short.
    """
    if not target.methods:
        raise UserError(
            f"{target.name} has no artifacts of several methods.",
            "Give --budget with --target onnx or executorch.",
        )
    check_enough(len(evaluator.data), budget)
    spec = spec or target.artifacts(("mixed",), ("optimized",))[0]
    wish = Wish(budget, smallest, minutes * 60)
    search = _Search(checkpoint, target, spec, evaluator, calibration, folder, wish, progress)
    return search.run()


class _Search:
    """The stages of a search in the order of their call, what is known, and the time that is left.

    ``_known`` are the candidates by name, with all that was found of them.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        target: Target,
        spec: ArtifactSpec,
        evaluator: Evaluator,
        rows: Sequence[Row],
        folder: Path,
        wish: Wish,
        progress: Progress,
    ) -> None:
        self._checkpoint, self._target, self._spec = checkpoint, target, spec
        self._folder, self._wish, self._progress = folder, wish, progress
        self._journal = Journal(folder / "measured.jsonl")
        with progress.step("PyTorch fp32 on the labelled data"):
            examples = examples_of(evaluator)
        # From here on: what PyTorch answers is needed by every measurement of accuracy.
        self._started = time.monotonic()
        searching, confirming = split(len(examples))
        self._searching, self._confirming = examples.take(searching), examples.take(confirming)
        self._rows = tuple(rows) or calibration_rows(self._searching)
        data = evaluator.data
        self._key = search_key(checkpoint.source_hash, data.sha256, len(data), self._rows, target)
        self._known: dict[str, Candidate] = {}
        self._looks = 0
        self._remarks: list[str] = []

    def run(self) -> Found:
        """All of it."""
        config, task = self._checkpoint.model.config, self._checkpoint.model.task
        prepared, costs = self._prepare()
        each = unit_costs(costs, config, task, prepared.smoothed_units)
        with self._step("correct the rounding of 4-bit weights") as detail:
            levels = correct(prepared, self._target, self._rows, self._folder, self._key, detail)

        def add(name: str, methods: Mapping[str, str]) -> str:
            mix = prepared.mix(methods, levels)
            self._known[name] = candidate(name, mix, methods, prepared, each)
            return name

        chained = [
            add(f"mix {place}", link.methods)
            for place, link in enumerate(links(prepared, each, smallest=self._wish.smallest))
        ]
        uniform = [add(*item) for item in uniform_methods(prepared, self._target).items()]
        usual = "{}, tables {}".format(*usual_methods(self._target))
        networks = prepared.networks
        best = self._halve(networks, chained)
        finalists = self._uniform_finalists(networks, uniform, usual, chained[best])
        if best:
            finalists.append(chained[best])
        if not finalists:
            raise self._nothing_found()
        chosen = self._confirm(finalists, chained[: best + 1], usual)
        return Found(
            self._target.name,
            self._wish,
            self._known[chosen],
            self._known[usual],
            tuple(self._known.values()),
            prepared,
            costs,
            len(self._searching),
            self._looks,
            tuple(remark for remark in (*self._remarks, costs.remark) if remark),
        )

    def _prepare(self) -> tuple[Prepared, Costs]:
        with self._step("sensitivity of every layer") as detail:
            prepared = prepare(
                self._checkpoint.model,
                self._target,
                self._searching,
                self._rows,
                self._journal,
                self._key,
                seconds=self._wish.seconds * _PREPARED,
                progress=detail,
            )
        with self._step("cost of every method") as detail:
            costs = measure_costs(
                self._checkpoint.model.config,
                self._target,
                self._spec,
                self._journal,
                seconds=self._wish.seconds * _COSTS,
                progress=detail,
            )
        return prepared, costs

    def _halve(self, networks: Networks, chained: Sequence[str]) -> int:
        """The place of the cheapest mix of the chain that keeps the budget on the part to choose
        by; 0 (fp32) when none does. What is cheaper than one that breaks it is taken to do so."""
        kept, broken = 0, len(chained)
        while broken - kept > 1:
            # The cheapest first: where it keeps the budget there is nothing to look for.
            place = len(chained) - 1 if broken == len(chained) else (kept + broken) // 2
            if self._left() < 0:
                self._remarks.append(
                    f"The time was over before all mixes were compared: one between mix {kept} "
                    f"and mix {broken} may do as well. The same command goes on from here."
                )
                break
            loss = self._search(networks, chained[place]).loss
            if loss <= self._wish.budget:
                kept = place
            else:
                broken = place
        return kept

    def _uniform_finalists(
        self, networks: Networks, uniform: Sequence[str], usual: str, best: str
    ) -> list[str]:
        """The usual mix, and those uniform ones that promise to be cheaper than ``best``, where
        they keep the budget on the part to choose by."""
        limit = self._foreseen(best)
        cheaper = sorted((n for n in uniform if self._foreseen(n) < limit), key=self._foreseen)
        asked = dict.fromkeys((*cheaper[:_UNIFORM], usual))
        fitting = [n for n in asked if self._left() > 0 or n == usual]
        return [n for n in fitting if self._search(networks, n).loss <= self._wish.budget]

    def _confirm(self, finalists: list[str], chained: Sequence[str], usual: str) -> str:
        """The cheapest, as measured, of the finalists whose artifact keeps the budget on the part
        that had no say. One of the chain that does not is followed by a safer one."""
        with partial_folder(self._folder) as folder:
            shop = Workshop(self._checkpoint, self._target, self._spec, folder)
            paths: dict[str, Path] = {}
            fp32 = next(name for name in self._known if name.startswith("fp32, "))
            self._build(shop, paths, (usual, fp32, *finalists), usual)
            queue = list(finalists)
            while queue:
                name = self._cheapest(queue)
                queue.remove(name)
                if self._judge(shop, paths[name], name).loss <= self._wish.budget:
                    if name != usual and self._left() > 0:
                        self._judge(shop, paths[usual], usual)
                    return name
                if self._left() < 0:
                    break
                safer = self._safer(chained, name)
                if safer is not None:
                    self._build(shop, paths, (usual, safer), usual)
                    queue.append(safer)
        raise self._nothing_found()

    def _search(self, networks: Networks, name: str) -> Judgement:
        """A mix's reference on the part to choose by."""
        known = self._known[name]
        key = f"{self._key}/searched/{_word(known.mix)}"
        if self._journal.get(key) is None:
            with self._step(f"{name}: accuracy in PyTorch") as detail:
                logits = networks.logits(known.mix, self._searching, detail)
            self._journal.put(key, asdict(judge(logits, self._searching)))
        judgement = Judgement.from_dict(self._journal.get(key))
        self._known[name] = replace(known, searched=judgement)
        return judgement

    def _build(
        self, shop: Workshop, paths: dict[str, Path], names: Sequence[str], usual: str
    ) -> None:
        """Artifacts, times and sizes; each is written once."""
        fresh = [name for name in dict.fromkeys(names) if name not in paths]
        for name in fresh:
            with self._step(f"{name}: build"):
                paths[name] = shop.write(self._known[name].mix, str(len(paths)))
        with self._step(f"time {', '.join(fresh)} against {usual}"):
            compared = {name: paths[name] for name in (usual, *fresh)}
            for name, built in shop.compare(compared, usual).items():
                if name in fresh:
                    self._known[name] = replace(self._known[name], built=built)

    def _judge(self, shop: Workshop, path: Path, name: str) -> Judgement:
        """An artifact on the part to judge by."""
        known = self._known[name]
        key = f"{self._key}/confirmed/{self._target.fingerprint()}/{_word(known.mix)}"
        if self._journal.get(key) is None:
            with self._step(f"{name}: accuracy of the artifact") as detail:
                judged = shop.judge(path, self._confirming, detail)
            self._journal.put(key, asdict(judged))
        judgement = Judgement.from_dict(self._journal.get(key))
        self._known[name] = replace(known, confirmed=judgement)
        self._looks += 1
        return judgement

    def _safer(self, chained: Sequence[str], name: str) -> str | None:
        """The cheapest of the chain with ``_STEP_BACK`` of the divergence; None: only fp32 is."""
        if name not in chained:
            return None
        limit = self._known[name].divergence * _STEP_BACK
        places = range(1, chained.index(name))
        return next(
            (chained[p] for p in reversed(places) if self._known[chained[p]].divergence <= limit),
            None,
        )

    @contextmanager
    def _step(self, name: str) -> Iterator[Detail]:
        """A step whose progress also says how much of the time is left."""
        with self._progress.step(name) as detail:

            def with_time(text: str) -> None:
                minutes = max(0.0, self._left()) / 60
                detail(f"{text}; at most {minutes:.0f} min left")

            yield with_time

    def _left(self) -> float:
        return self._wish.seconds - (time.monotonic() - self._started)

    def _foreseen(self, name: str) -> float:
        known = self._known[name]
        return known.bytes if self._wish.smallest else known.milliseconds

    def _cheapest(self, names: Sequence[str]) -> str:
        """As measured: of those that are as fast as the fastest, as far as can be told, the
        smallest; or the smallest, and of equals the fastest."""
        found = {name: built for name in names if (built := self._known[name].built) is not None}
        if self._wish.smallest:
            return min(found, key=lambda n: (found[n].bytes, found[n].ratio.median))
        fastest = min(built.ratio.median for built in found.values())
        equal = [
            name
            for name, built in found.items()
            if built.ratio.low <= fastest and built.ratio.median <= fastest * _AS_FAST
        ]
        return min(equal, key=lambda n: found[n].bytes)

    def _nothing_found(self) -> CheckFailed:
        """With the best mix that is not fp32, and its loss."""
        known = [c for c in self._known.values() if set(c.methods.values()) != {"fp32"}]
        confirmed = [(c.confirmed, c) for c in known if c.confirmed is not None]
        searched = [(c.searched, c) for c in known if c.searched is not None]
        allowed = f"{self._wish.budget * 100:g} points"
        # What was judged counts; what it was chosen by only where nothing came so far.
        judgement, best = min(confirmed or searched, key=lambda item: item[0].loss)
        enough = max(judgement.loss, self._wish.budget)
        over = " in the time given" if self._left() < 0 else ""
        return CheckFailed(
            f"Nothing that is quantized was found{over} to lose {allowed} at most. The best, "
            f"{best.name} ({summary(best)}), loses {points(judgement)} on {judgement.examples} "
            "examples.",
            f"Allow more, such as --budget {math.ceil(enough * 1000) / 10 + 0.1:.1f}, "
            "more time with --search-minutes, or build fp32: --precision fp32",
        )


def _word(mix: Mix) -> str:
    """Hash of all that a mix says, and of the names of its corrected weights."""
    return hashlib.sha256(mix.text().encode()).hexdigest()
