"""The part of a build that chooses how each layer of a mixed artifact is computed and stored."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.checkpoint import Checkpoint
from exporter.errors import CheckFailed, UserError
from exporter.filesystem import explained_os_errors
from exporter.manifest import CalibrationRecord, ChoiceRecord
from exporter.progress import Progress
from exporter.quantization.mix import MIXED, Mix
from exporter.targets.base import ArtifactSpec, Target, find_target
from exporter.verification.evaluation import Evaluator
from exporter.verification.label_order import check_label_order

if TYPE_CHECKING:
    from exporter.search.found import Found

#: Why a dry run cannot say whether a mixed artifact is up to date.
SEARCHED = "a search chooses how its layers are computed"

#: Where a bundle keeps the searches' reports, a folder for each target.
FOLDER = "search"


@dataclass(frozen=True)
class Budget:
    """What a mixed artifact may lose, and what it is to be within that.

    ``points`` are percentage points of accuracy. The artifact is to be fast, or with ``smallest``
    small. ``minutes`` is about how long the search of each target may take.
    """

    points: float
    smallest: bool = False
    minutes: float = 20.0


@dataclass(frozen=True)
class Chosen:
    """What a search chose for a target, and what the manifest says of it."""

    mix: Mix
    record: ChoiceRecord


def budget_precisions(
    precisions: Sequence[str], targets: Sequence[str], eval_data: Path | None
) -> tuple[str, ...]:
    """``precisions`` with the one that a budget asks for.

    UserError without labelled data, and for targets that have no mixes.
    """
    if eval_data is None:
        raise UserError(
            "A budget is kept on labelled data, and none is given.",
            "Name a file of texts and labels with --eval-data TSV.",
        )
    for name in targets:
        if not find_target(name).methods:
            raise UserError(
                f"--budget chooses methods layer by layer, which {name} does not have.",
                f"Leave {name} out, or build it in a call of its own, with --precision.",
            )
    return (*(name for name in precisions if name != MIXED), MIXED)


def check_budget(specs: Sequence[tuple[ArtifactSpec, Target]], budget: Budget | None) -> None:
    """UserError for a mixed artifact without a budget, and for a budget that is none."""
    if budget is None:
        if any(spec.precision == MIXED for spec, _ in specs):
            raise UserError(
                "The precision 'mixed' is chosen within a budget, and none is given.",
                "Say how many points of accuracy it may lose: --budget 0.5 --eval-data TSV",
            )
    elif not 0 < budget.points < 100:
        raise UserError(
            f"A budget of {budget.points:g} points is none.",
            "Give a number of percentage points between 0 and 100, such as --budget 0.5.",
        )


def check_examples(evaluator: Evaluator, budget: Budget) -> None:
    """UserError where the examples are too few to tell whether the budget is kept."""
    from exporter.search.examples import check_enough

    check_enough(len(evaluator.data), budget.points / 100)


def check_answers(evaluator: Evaluator, progress: Progress) -> None:
    """UserError where PyTorch's answers show that the labels stand in another order."""
    with progress.step("PyTorch fp32 on the labelled data"):
        logits = evaluator.reference_logits
    check_label_order(logits, evaluator.data, evaluator.checkpoint.model.labels or ())


def choose_mixes(
    checkpoint: Checkpoint,
    specs: Sequence[tuple[ArtifactSpec, Target]],
    evaluator: Evaluator,
    budget: Budget,
    out: Path,
    progress: Progress,
    calibration: CalibrationRecord | None = None,
) -> tuple[Mapping[str, Chosen], Mapping[str, CheckFailed]]:
    """What a search chooses for every target with a mixed artifact, by the target's name.

    By the artifact's path, why there is no choice: nothing keeps the budget, or the time was over
    before that was known (OutOfTime).

    What it measures and reports lies in the folder ``search/TARGET`` of the bundle ``out``. The
    texts of ``checkpoint.model.calibration`` are those of the search, where there are any;
    ``calibration`` says of which file they are.

    Raises UserError for too few examples.
    """
    # matplotlib and the rest are needed by those who search alone.
    from exporter.search.report import write_report
    from exporter.search.search import choose_mix

    chosen: dict[str, Chosen] = {}
    failed: dict[str, CheckFailed] = {}
    for spec, target in specs:
        if spec.precision != MIXED:
            continue
        folder = out / FOLDER / target.name
        with explained_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        progress.note(f"{spec.path}: search within {budget.points:g} points")
        try:
            found = choose_mix(
                checkpoint,
                target,
                evaluator,
                checkpoint.model.calibration,
                budget=budget.points / 100,
                folder=folder,
                texts=calibration,
                spec=spec,
                smallest=budget.smallest,
                minutes=budget.minutes,
                progress=progress,
            )
        except CheckFailed as error:
            failed[spec.path] = error
            continue
        write_report(found, folder)
        for line in found.lines():
            progress.note(line)
        chosen[target.name] = Chosen(found.mix, _record(found, evaluator, folder, out))
    return chosen, failed


def _record(found: "Found", evaluator: Evaluator, folder: Path, out: Path) -> ChoiceRecord:
    confirmed = found.chosen.confirmed
    if confirmed is None:
        raise ValueError("a mix was chosen without a measurement of its artifact")
    return ChoiceRecord(
        budget=found.wish.budget,
        goal="size" if found.wish.smallest else "time",
        loss=confirmed.loss,
        interval=confirmed.loss_interval,
        examples=confirmed.examples,
        data=evaluator.data.name,
        data_sha256=evaluator.data.sha256,
        methods=dict(sorted(Counter(found.mix.methods.values()).items())),
        looks=found.looks,
        report=(folder / "report.md").relative_to(out).as_posix(),
        calibration=found.texts.record,
    )
