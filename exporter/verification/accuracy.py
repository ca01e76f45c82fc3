"""Accuracy of an artifact on labelled data, next to the PyTorch model it was made from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from exporter.targets.base import Array
from exporter.verification.labelled_data import LabelledData
from exporter.verification.paired_statistics import (
    examples_needed,
    mcnemar_exact,
    paired_difference_interval,
    wilson_interval,
)
from exporter.verification.report import Check

#: Least share of examples on which an artifact must give the label that PyTorch gives.
#: fp32 and fp16 storage differ from PyTorch by rounding alone: rounding the weights of three
#: trained checkpoints to fp16 moves logits by 0.014 at most and no label of 7,500. The int8 scheme
#: (weights per channel, activations per tensor) agrees on 99.5 % and 99.8 % with the two grouped
#: ones and on 97.4 % with a MiniLM whose activations have outliers; with weights per tensor as
#: well the MiniLM agrees on 95.1 %, with int4 per channel on 92.5 %, with int4 per tensor, which
#: destroys it, on 40 %.
#:
#: 4-bit weights, and int8 activations with static ranges, agree on 97.0 % and more with the grouped
#: ones; with the MiniLM on 95.0 % (int4 in blocks of 32: 95.4 %), with static ranges on 95.8 %.
AGREEMENT_LIMITS: Mapping[str, float] = {"fp32": 0.999, "fp16": 0.999}
LOSSY_AGREEMENT_LIMITS: Mapping[str, float] = {"int4": 0.935, "palettized4": 0.935, "w8a8": 0.94}
DEFAULT_AGREEMENT_LIMIT = 0.97

#: Most that an artifact may lose, as a share of the examples (0.005: half a point). The same
#: measurements lost 0.4 points at most with int8, and 1.0 with weights per tensor.
LOSS_LIMIT = 0.005
#: On the MiniLM 4-bit weights lose 0.3 (blocks) and 0.6 points (tables), static ranges 1.1 (2,000
#: examples); on the grouped models 0.2 at most. int4 per channel loses 1.4 there, and disagrees.
LOSS_LIMITS: Mapping[str, float] = dict.fromkeys(("int4", "palettized4", "w8a8"), 0.015)


@dataclass(frozen=True)
class ClassFigures:
    """What an artifact makes of the examples of one label.

    ``support`` counts the examples that have the label, ``predicted`` those that the artifact gives
    it to, ``correct`` both. ``precision`` is correct / predicted, ``recall`` correct / support and
    ``f1`` their harmonic mean; each is None where it is 0 / 0. ``reference_recall`` is PyTorch's.
    """

    label: str
    support: int
    predicted: int
    correct: int
    precision: float | None
    recall: float | None
    f1: float | None
    reference_recall: float | None


@dataclass(frozen=True)
class Accuracy:
    """What an evaluation found; shares lie in [0, 1], divergences are in nats.

    ``interval`` and ``loss_interval`` are 95 % intervals (Wilson; Bonett and Price, paired).
    ``loss`` is the reference's accuracy minus the artifact's; ``only_reference`` counts the
    examples that only the reference gets right, ``only_artifact`` the reverse, and ``p_value``
    is McNemar's exact test of the two. ``majority`` is the accuracy of always answering the
    most frequent label. ``mean_divergence`` and ``max_divergence`` are the Kullback-Leibler
    divergences of the artifact's label probabilities from the reference's. ``truncated`` counts the
    examples that were cut to the model's maximum length, ``skipped`` those of the file without a
    label. ``classes`` are in the model's order, () where it names none; ``macro_f1`` is the mean F1
    of those that the data has.
    """

    examples: int
    correct: int
    accuracy: float
    interval: tuple[float, float]
    reference_accuracy: float
    agreement: float
    loss: float
    loss_interval: tuple[float, float]
    only_reference: int
    only_artifact: int
    p_value: float
    majority: float
    mean_divergence: float
    max_divergence: float
    truncated: int
    batch_size: int
    skipped: int = 0
    macro_f1: float | None = None
    classes: tuple[ClassFigures, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For the manifest's field ``accuracy``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Accuracy":
        """What ``as_dict`` gave, as a manifest gives it back, among fields of others."""
        values = _known(cls, found)
        for name in ("interval", "loss_interval"):
            values[name] = tuple(values[name])
        classes = tuple(ClassFigures(**_known(ClassFigures, c)) for c in found.get("classes", ()))
        return cls(**{**values, "classes": classes})


def _known(kind: type, found: Mapping[str, Any]) -> dict[str, Any]:
    """What ``found`` has of the fields of the dataclass ``kind``."""
    return {known.name: found[known.name] for known in fields(kind) if known.name in found}


def compare(
    reference: Array,
    artifact: Array,
    data: LabelledData,
    *,
    label_names: Sequence[str] = (),
    truncated: int = 0,
    batch_size: int = 1,
) -> Accuracy:
    """Accuracy of ``artifact`` against ``reference``: logits [examples, labels] of ``data``.

    With ``label_names``, the model's in their order, also the figures of every class.
    """
    labels = np.asarray(data.labels)
    total = len(labels)
    expected, predicted = reference.argmax(axis=1), artifact.argmax(axis=1)
    reference_right, artifact_right = expected == labels, predicted == labels
    correct = int(artifact_right.sum())
    only_reference = int((reference_right & ~artifact_right).sum())
    only_artifact = int((artifact_right & ~reference_right).sum())
    divergence = kullback_leibler(reference, artifact)
    classes = _classes(labels, expected, predicted, label_names)
    present = [found.f1 for found in classes if found.support and found.f1 is not None]
    return Accuracy(
        examples=total,
        correct=correct,
        accuracy=correct / total,
        interval=wilson_interval(correct, total),
        reference_accuracy=float(reference_right.mean()),
        agreement=float((expected == predicted).mean()),
        loss=(only_reference - only_artifact) / total,
        loss_interval=paired_difference_interval(only_reference, only_artifact, total),
        only_reference=only_reference,
        only_artifact=only_artifact,
        p_value=mcnemar_exact(only_reference, only_artifact),
        majority=float(np.bincount(labels).max() / total),
        mean_divergence=float(divergence.mean()),
        max_divergence=float(divergence.max()),
        truncated=truncated,
        batch_size=batch_size,
        skipped=data.skipped,
        macro_f1=sum(present) / len(present) if present else None,
        classes=classes,
    )


def _classes(
    labels: Array, expected: Array, predicted: Array, names: Sequence[str]
) -> tuple[ClassFigures, ...]:
    """By label: ``labels`` are the true ones, ``expected`` PyTorch's, ``predicted`` the artifact's;
    each [examples].
    """
    found = []
    for index, name in enumerate(names):
        true = labels == index
        support, given = int(true.sum()), int((predicted == index).sum())
        correct = int((true & (predicted == index)).sum())
        found.append(
            ClassFigures(
                label=name,
                support=support,
                predicted=given,
                correct=correct,
                precision=_share(correct, given),
                recall=_share(correct, support),
                f1=_share(2 * correct, given + support),
                reference_recall=_share(int((true & (expected == index)).sum()), support),
            )
        )
    return tuple(found)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def kullback_leibler(reference: Array, artifact: Array) -> Array:
    """Divergence in nats of softmax(artifact) from softmax(reference), row by row: [examples]."""
    expected, found = _log_softmax(reference), _log_softmax(artifact)
    divergence: Array = (np.exp(expected) * (expected - found)).sum(axis=1)
    return np.maximum(divergence, 0.0)  # rounding may leave -1e-17


def check_accuracy(accuracy: Accuracy, precision: str, budget: float | None = None) -> Check:
    """The gate's verdict. The artifact is refused for either of two reasons:

    - It loses more than LOSS_LIMITS (else LOSS_LIMIT) against PyTorch, and the paired 95 % interval
      of the loss excludes zero (on few examples a single near-tie may exceed the limit by chance).
    - It agrees with PyTorch on fewer examples than its limit asks for. One disagreement
      is always allowed to fp32 and fp16; for the other precisions the upper end of the 95 %
      interval must reach the limit. Agreement also judges models whose accuracy does not react
      to damage.

    ``budget``, a share of the examples, is what the user allows an artifact to lose: it replaces
    the limit of the loss, and the agreement is not judged, because the loss was chosen. It is
    refused where the loss is beyond the budget by more than chance: where the paired 95 % interval
    lies above it. A search goes as near to the budget as it can and judges by a part of the
    examples, so that on others, and on all, a sound choice may lie a little above (LOSS_LIMITS are
    far from what is usual). The detail says so then.

    Where the paired interval reaches further than the limit to either side (below about 550
    examples even for equal answers), the detail says that such a loss cannot be told, and how many
    examples are needed when as many of them are answered differently.
    """
    most = LOSS_LIMITS.get(precision, LOSS_LIMIT) if budget is None else budget
    least_loss, most_loss = accuracy.loss_interval
    above = accuracy.loss > most
    lost = above and least_loss > (0 if budget is None else budget)
    half_width = (most_loss - least_loss) / 2
    disagreements = round((1 - accuracy.agreement) * accuracy.examples)
    limit, disagrees = 0.0, False
    if budget is None:
        limit, disagrees = _disagreement(accuracy, precision, disagreements)
    low, high = accuracy.interval
    detail = (
        f"{accuracy.accuracy:.2%} of {accuracy.examples} examples "
        f"(95 % interval {low:.2%} to {high:.2%}), PyTorch fp32 "
        f"{accuracy.reference_accuracy:.2%}, agreement {accuracy.agreement:.2%}"
    )
    if lost:
        detail += f"; loses {accuracy.loss * 100:.2f} points, {_points(most)} are allowed"
    elif above and budget is not None:
        detail += (
            f"; loses {accuracy.loss * 100:.2f} points (95 % interval {least_loss * 100:.2f} to "
            f"{most_loss * 100:.2f}), {_points(most)} are allowed: that it is more may be chance"
        )
    if half_width > most > 0 and not lost:
        discordant = (accuracy.only_reference + accuracy.only_artifact) / accuracy.examples
        detail += (
            f"; too few examples to tell a loss of {_points(most)} points "
            f"(about {examples_needed(most, discordant)} are needed)"
        )
    if disagrees:
        detail += f"; disagrees on {disagreements} examples, {limit:.1%} must agree"
    return Check(
        name="accuracy",
        passed=not lost and not disagrees,
        detail=detail,
        measured={
            "accuracy": accuracy.accuracy,
            "loss": accuracy.loss,
            "agreement": accuracy.agreement,
        },
        tolerance=most,
    )


def _disagreement(accuracy: Accuracy, precision: str, disagreements: int) -> tuple[float, bool]:
    """The least agreement of ``precision``, and whether the artifact agrees less."""
    if precision in AGREEMENT_LIMITS:
        limit = AGREEMENT_LIMITS[precision]
        return limit, disagreements > max(1.0, (1 - limit) * accuracy.examples)
    limit = LOSSY_AGREEMENT_LIMITS.get(precision, DEFAULT_AGREEMENT_LIMIT)
    agreed = accuracy.examples - disagreements
    return limit, wilson_interval(agreed, accuracy.examples)[1] < limit


def _points(share: float) -> str:
    """At least one digit after the point, and as many as a budget has: 0.5, 0.25."""
    text = f"{share * 100:.4f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _log_softmax(logits: Array) -> Array:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
