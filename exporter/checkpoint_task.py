"""What a checkpoint is for: the task it was trained on and the names of its outputs.

Neither is ever guessed: what the checkpoint does not say, the user has to.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.checkpoint_files import CheckpointFiles
from exporter.errors import UserError
from exporter.model.config import CLASS_PREFIXES, CLASS_SUFFIXES, TASKS, Family, Task

#: Outputs of the official MNLI checkpoint, whose own config.json (519 bytes, of September 2020)
#: names neither labels nor architecture. The order is that of the GLUE processor of transformers
#: at that time (``MnliProcessor.get_labels``: contradiction, entailment, neutral), the usual way to
#: fine-tune then. The copy typeform/squeezebert-mnli on the Hub agrees: its commit 1fc6466
#: corrects id2label from another order to 0 contradiction, 1 entailment, 2 neutral.
#: The ``datasets`` library numbers MNLI differently (0 entailment, 1 neutral, 2 contradiction).
MNLI_LABELS = ("contradiction", "entailment", "neutral")

# transformers writes these names where nobody gave any: they say nothing.
_PLACEHOLDER = re.compile(r"LABEL_\d+")
_PRETRAINING = "ForPreTraining"  # masked-lm and next sentence prediction together


@dataclass(frozen=True)
class Pinned:
    """Task and labels of a checkpoint on the Hub that does not say them itself."""

    task: Task
    labels: tuple[str, ...]


#: By Hub id; a folder of the same name is not taken for the official checkpoint.
PINNED = {"squeezebert/squeezebert-mnli": Pinned("sequence-classification", MNLI_LABELS)}


def resolve_task(
    files: CheckpointFiles, family: Family, asked: Task | None, pinned: Pinned | None
) -> Task:
    """The asked task if the checkpoint has a head for it; by default the checkpoint's own.

    ``architectures`` of the configuration decides, else ``pinned``, else the names of the tensors.
    Raises UserError when the task stays unknown, or the checkpoint was trained for another one.
    """
    if asked == "feature-extraction":
        return asked
    class_name = _class_name(files.config)
    if class_name is None:
        own = pinned.task if pinned else _task_by_head(files)
        if own is None and asked is None:
            raise UserError(
                "config.json does not say what the classifier is for (no architectures).",
                "Give --task sequence-classification or --task token-classification.",
            )
    else:
        own = _task_of_class(class_name, family)
        if own is None:
            raise UserError(
                f"{class_name} has no head that can be exported.",
                "Choose --task feature-extraction to export it without its head.",
            )
    if own is not None and asked is not None and asked != own:
        others = "" if own == "feature-extraction" else f"--task {own} or "
        raise UserError(
            f"{class_name or 'The checkpoint'} is made for {own}: it has no head for {asked}.",
            f"Choose {others}--task feature-extraction, or fine-tune it first.",
        )
    chosen = asked or own
    if chosen is None:  # excluded above, which the type checker cannot see
        raise UserError("The task is not known.", f"Give --task: {', '.join(TASKS)}.")
    return chosen


def _class_name(config: Mapping[str, Any]) -> str | None:
    names = config.get("architectures")
    if not names:
        return None
    if not isinstance(names, list) or not isinstance(names[0], str):
        raise UserError("architectures in config.json is not a list of names.", "Correct it.")
    return names[0]


def _task_of_class(class_name: str, family: Family) -> Task | None:
    prefix = CLASS_PREFIXES[family]
    if not class_name.startswith(prefix):
        raise UserError(
            f"The architecture {class_name} does not belong to model_type {family}.",
            f"Supported: {', '.join(prefix + s for s in CLASS_SUFFIXES.values())}.",
        )
    suffix = class_name.removeprefix(prefix)
    if suffix == _PRETRAINING:
        return "masked-lm"
    return next((task for task, known in CLASS_SUFFIXES.items() if known == suffix), None)


def _task_by_head(files: CheckpointFiles) -> Task | None:
    """The task that the tensors' names tell; None for a classifier (of texts or of tokens?)."""
    if any(name.startswith("cls.predictions.") for name in files.state):
        return "masked-lm"
    if any(name.startswith("qa_outputs.") for name in files.state):
        return "question-answering"
    if any(name.startswith("classifier.") for name in files.state):
        return None
    return "feature-extraction"


def check_given_labels(labels: Sequence[str]) -> None:
    """Raises UserError for empty or repeated names."""
    if any(not label.strip() for label in labels) or len(set(labels)) != len(labels):
        raise UserError(
            f"--labels has empty or repeated names: {', '.join(labels)}.",
            "Give one name for every output, separated by commas.",
        )


def resolve_labels(
    config: Mapping[str, Any], pinned: Pinned | None, given: Sequence[str] | None, outputs: int
) -> tuple[str, ...]:
    """The names of the classifier's outputs: given, else the checkpoint's own, else pinned.

    Raises UserError when there are none, when their number is not that of the ``outputs``, and
    when those given are the checkpoint's own in another order.
    """
    own = _own_labels(config) or (pinned.labels if pinned else None)
    if given is None and own is None:
        raise UserError(
            f"The checkpoint does not name its {outputs} labels.",
            "Give them in the order of its outputs: --labels A,B,...",
        )
    names = tuple(given) if given is not None else own or ()
    if len(names) != outputs:
        raise UserError(
            f"There are {len(names)} labels, but the classifier has {outputs} outputs.",
            "Give one name for every output: --labels A,B,...",
        )
    if own is not None and names != own and sorted(names) == sorted(own):
        raise UserError(
            f"--labels has the checkpoint's labels in another order than it ({', '.join(own)}).",
            "Leave out --labels.",
        )
    return names


def _own_labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """``id2label`` of the configuration in order; None where it is missing or placeholders."""
    table = config.get("id2label")
    if not table:
        return None
    if not isinstance(table, Mapping) or set(map(str, table)) != {
        str(i) for i in range(len(table))
    }:
        raise UserError(
            "id2label in config.json does not number the labels from 0 on.",
            "Correct it, or remove it and give --labels.",
        )
    names = tuple(str(table[key]) for key in sorted(table, key=int))
    if all(_PLACEHOLDER.fullmatch(name) for name in names):
        return None
    if len(set(names)) != len(names):
        raise UserError(
            "id2label in config.json names two labels alike.",
            "Correct it, or give the names with --labels.",
        )
    return names
