"""Finds the fastest (or smallest) mix that is measured to lose no more accuracy than a budget.

Mixes of the chain are halved on the part of the data to choose by; what is found is built, timed
against the usual mix, and judged on the part that had no say, where it may be refused.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from exporter.checkpoint import Checkpoint
from exporter.errors import UserError
from exporter.filesystem import partial_folder, remove_partial_files
from exporter.manifest import CalibrationRecord
from exporter.progress import Progress, SilentProgress
from exporter.quantization.correction import HELD_BACK
from exporter.quantization.rounding import Rounded
from exporter.search.candidates import Candidate, candidate, links, uniform_methods
from exporter.search.clock import Clock
from exporter.search.comparing import Comparison
from exporter.search.confirming import Confirmation
from exporter.search.costs import Costs, measure_costs, unit_costs
from exporter.search.examples import check_enough, examples_of, split
from exporter.search.found import Found, Wish, nothing_found
from exporter.search.journal import Journal
from exporter.search.levels import correct, four_bits, remove_old_levels
from exporter.search.preparation import WHOLE, Extent, Prepared, Row, prepare
from exporter.search.records import Finished, Records, search_key
from exporter.search.stand_ins import usual_methods
from exporter.search.texts import texts_for
from exporter.search.workshop import Workshop
from exporter.targets.base import ArtifactSpec, Target
from exporter.verification.evaluation import Evaluator

#: Minutes that a search takes, about.
DEFAULT_MINUTES = 20.0

#: Shares of the time after which the first stages end. A choice, no measurement. They decide how
#: well mixes are ordered and how far 4 bits go: too little for them costs speed or bytes. What
#: keeps the budget is decided in the rest of the time, which they take away: too little for that
#: leaves mixes unseen. A stage that is known from an earlier call leaves its share to the others.
_PREPARED, _COSTS, _CORRECTED = 0.4, 0.15, 0.3

_SILENT = SilentProgress()


def choose_mix(
    checkpoint: Checkpoint,
    target: Target,
    evaluator: Evaluator,
    calibration: Sequence[Row] = (),
    *,
    budget: float,
    folder: Path,
    texts: CalibrationRecord | None = None,
    spec: ArtifactSpec | None = None,
    smallest: bool = False,
    minutes: float = DEFAULT_MINUTES,
    progress: Progress = _SILENT,
) -> Found:
    """The fastest mix of ``target`` (``smallest``: that of the smallest file) within ``budget``.

    ``budget`` is the share of examples that may be lost against PyTorch in fp32 (0.005: half a
    point), as measured with the artifact on at least two thirds of the evaluator's data. Rows of
    ``calibration`` (int64 [1, T] by name; ``texts`` says of which file) are for static ranges,
    smoothing and the correction of 4-bit weights; those that are among the examples to judge by are
    left out. Without any, texts of the other third are taken.

    ``folder`` is for one call at a time. It keeps what was measured: the same call goes on where
    another was interrupted or short of time, and where it had finished, gives its choice again,
    however many ``minutes`` there are. These are about what all takes that follows PyTorch's
    answers in fp32: a step that was begun (an artifact that is built or timed, a pass over the
    examples) is finished, and one artifact is built and judged in any case.

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
    search = _Search(
        checkpoint, target, spec, evaluator, calibration, texts, folder, wish, progress
    )
    return search.run()


class _Search:
    """The stages of a search in the order of their call.

    ``_known`` are the candidates by name, with all that was found of them.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        target: Target,
        spec: ArtifactSpec,
        evaluator: Evaluator,
        rows: Sequence[Row],
        texts: CalibrationRecord | None,
        folder: Path,
        wish: Wish,
        progress: Progress,
    ) -> None:
        self._checkpoint, self._target, self._spec = checkpoint, target, spec
        self._folder, self._wish, self._progress = folder, wish, progress
        with progress.step("PyTorch fp32 on the labelled data"):
            examples = examples_of(evaluator)
        # From here on: what PyTorch answers is needed by every measurement of accuracy.
        self._clock = Clock(wish.seconds, progress)
        searching, confirming = split(len(examples))
        self._searching, self._judging = examples.take(searching), confirming
        judging = examples.take(confirming)
        self._rows, self._texts = texts_for(rows, texts, self._searching, judging)
        self._evaluator, data = evaluator, evaluator.data
        self._key = search_key(checkpoint.source_hash, data.sha256, len(data), self._rows, target)
        self._journal = Journal(folder / "measured.jsonl")
        self._records = Records(self._journal, self._key, spec, wish)
        remove_partial_files(folder)
        remove_old_levels(folder, self._key)
        self._known: dict[str, Candidate] = {}
        self._usual = "{}, tables {}".format(*usual_methods(target))

    def run(self) -> Found:
        """The choice of an earlier call where that had finished, else a search."""
        for remark in (self._texts.remark, self._few_texts()):
            if remark:
                self._progress.note(remark)
        earlier = self._records.finished()
        found = None if earlier is None else self._again(earlier)
        return found or self._anew()

    def _anew(self) -> Found:
        prepared, costs = self._prepare(self._wish.seconds, WHOLE)
        first = self._wish.seconds * (_PREPARED + _COSTS + _CORRECTED)
        levels = self._levels(prepared, self._clock.left() - (self._wish.seconds - first))
        chained, uniform = self._list(prepared, costs, levels)
        comparison = Comparison(
            prepared.networks, self._searching, self._records, self._known, self._wish, self._clock
        )
        best = comparison.halve(chained)
        finalists = comparison.fitting(uniform, self._usual, chained[best])
        if best and chained[best] not in finalists:
            finalists.append(chained[best])
        chosen = self._confirm(finalists, chained[: best + 1])
        if chosen is None:
            over = self._clock.left() < 0
            raise nothing_found(self._known.values(), self._wish, over=over)
        if not self._clock.cuts:
            self._records.finish(chosen, self._known, prepared.extent)
        return self._found(chosen, prepared, costs)

    def _again(self, earlier: Finished) -> Found | None:
        """The choice of an earlier search; None where its corrected weights cannot be had again."""
        self._progress.note(
            "The same search has finished before: its choice is taken. Without the folder "
            f"{self._folder} all would be measured again."
        )
        prepared, costs = self._prepare(math.inf, earlier.extent)
        levels = self._levels(prepared, math.inf)
        self._list(prepared, costs, levels)
        restored = earlier.restored(levels)
        if restored is None:
            self._known.clear()
            return None
        self._known.update(restored)
        return self._found(earlier.chosen, prepared, costs)

    def _found(self, chosen: str, prepared: Prepared, costs: Costs) -> Found:
        few = self._few_texts()
        remarks = (self._texts.remark, few, costs.remark)
        return Found(
            self._target.name,
            self._wish,
            self._known[chosen],
            self._known[self._usual],
            tuple(self._known.values()),
            prepared,
            costs,
            self._texts,
            len(self._searching),
            self._records.looks,
            tuple(self._clock.cuts),
            tuple(remark for remark in remarks if remark),
        )

    def _prepare(self, seconds: float, extent: Extent) -> tuple[Prepared, Costs]:
        with self._clock.step("sensitivity of every layer") as detail:
            prepared = prepare(
                self._checkpoint.model,
                self._target,
                self._searching,
                self._rows,
                self._journal,
                self._key,
                seconds=seconds * _PREPARED,
                extent=extent,
                progress=detail,
            )
        with self._clock.step("cost of every method") as detail:
            costs = measure_costs(
                self._checkpoint.model.config,
                self._target,
                self._spec,
                self._journal,
                seconds=self._wish.seconds * _COSTS,
                progress=detail,
            )
        return prepared, costs

    def _few_texts(self) -> str:
        """ "", or that there are too few texts to correct the rounding of weights."""
        if four_bits(self._target) is None or len(self._rows) >= HELD_BACK:
            return ""
        return (
            f"The rounding of 4-bit weights is not corrected: that takes at least {HELD_BACK} "
            f"calibration texts, and there are {len(self._rows)}. --calibration-data gives more."
        )

    def _levels(self, prepared: Prepared, seconds: float) -> dict[str, Rounded]:
        """Corrected levels, in so much time; none where there are too few texts or seconds."""
        if self._few_texts():
            return {}
        with self._clock.step("correct the rounding of 4-bit weights") as detail:
            levels = correct(
                prepared,
                self._target,
                self._rows,
                self._folder,
                self._key,
                seconds=seconds,
                progress=detail,
            )
        if levels is None:
            self._clock.cut(
                "the rounding of 4-bit weights was corrected, each of which goes to the nearest "
                "level instead"
            )
        return levels or {}

    def _list(
        self, prepared: Prepared, costs: Costs, levels: Mapping[str, Rounded]
    ) -> tuple[list[str], list[str]]:
        """Names of the mixes of the chain, from the safest on, and of the uniform ones.

        A mix of the chain that is uniform has the name of that, and is one candidate.
        """
        model = self._checkpoint.model
        each = unit_costs(costs, model.config, model.task, prepared.smoothed_units)

        def add(name: str, methods: Mapping[str, str]) -> str:
            mix = prepared.mix(methods, levels)
            self._known[name] = candidate(name, mix, methods, prepared, each)
            return name

        uniform = uniform_methods(prepared, self._target)
        names = {frozenset(methods.items()): name for name, methods in uniform.items()}
        chained = []
        for place, link in enumerate(links(prepared, each, smallest=self._wish.smallest)):
            name = names.get(frozenset(link.methods.items()), f"mix {place}")
            chained.append(add(name, link.methods))
        return chained, [add(*item) for item in uniform.items()]

    def _confirm(self, finalists: Sequence[str], chained: Sequence[str]) -> str | None:
        """The finalist that is chosen; None without any that the budget allows."""
        if not finalists:
            return None
        with partial_folder(self._folder) as folder:
            shop = Workshop(
                self._checkpoint, self._target, self._spec, folder, self._evaluator, self._judging
            )
            confirmation = Confirmation(shop, self._records, self._known, self._wish, self._clock)
            return confirmation.choose(finalists, chained, self._usual)
