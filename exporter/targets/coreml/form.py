"""What a CoreML package looks like from outside and inside: its flavour, spelled out.

A flavour's name joins what differs from the usual form, ``optimized``: ``sequence`` (layout),
``fixed`` or ``ranged`` (lengths), ``logits`` (output), in this order, with underscores.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal, cast

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, Task

Layout = Literal["neural_engine", "sequence"]
Lengths = Literal["enumerated", "fixed", "ranged"]
Output = Literal["classifier", "logits"]
Deployment = Literal["iOS17", "iOS18"]

USUAL = "optimized"

#: Lengths of ``enumerated``. A model with fewer positions has its own number as the last.
_ENUMERATED = (32, 64, 128, 256, 512)
#: The one length of ``fixed``, where the model has as many positions.
_FIXED = 128

#: Of enumerated shapes (coremltools' guide on flexible inputs).
_MOST = 128

#: Schemes whose operators iOS 17 does not have.
_IOS18_SCHEMES = ("int4", "palettized4")


@dataclass(frozen=True)
class Form:
    """``layout``: ``neural_engine`` is (1, C, 1, S) with 1x1 convolutions and attention head by
    head, ``sequence`` is (1, S, C) with linear layers and attention in one product.

    ``lengths``: the numbers of tokens S that the package takes: each of a few (``enumerated``), one
    (``fixed``), or all from 1 (``ranged``); those that the user ``asked`` for, or the usual ones.

    ``output``: ``classifier`` adds the label and the probabilities of all labels to the logits; it
    exists for sequence classification only.
    """

    layout: Layout
    lengths: Lengths
    output: Output
    asked: tuple[int, ...] = ()

    def takes(self, config: EncoderConfig) -> tuple[int, ...]:
        """The lengths: every one of ``enumerated``, the one of ``fixed``, the limit of ``ranged``.

        Rising; the longest is at most the model's number of positions, UserError where another was
        asked for.
        """
        limit = config.max_positions
        if self.asked and self.asked[-1] > limit:
            raise UserError(
                f"{self.asked[-1]} tokens are asked for; the model has {limit} positions.",
                "Choose smaller --lengths.",
            )
        if self.asked:
            return self.asked
        if self.lengths == "ranged":
            return (limit,)
        if self.lengths == "fixed":
            return (min(_FIXED, limit),)
        longest = min(limit, _ENUMERATED[-1])
        return (*(length for length in _ENUMERATED if length < longest), longest)

    def deployment(self, precision: str, config: EncoderConfig) -> Deployment:
        """The oldest system that has what the package needs.

        Several inputs with enumerated shapes, weights in blocks or with tables for parts of a
        weight came with iOS 18.
        """
        newer = len(self.takes(config)) > 1 or precision in _IOS18_SCHEMES
        return "iOS18" if newer else "iOS17"


def flavours() -> tuple[str, ...]:
    """Names of all forms, the usual one first."""
    words = product(("", "sequence"), ("", "fixed", "ranged"), ("", "logits"))
    return tuple("_".join(filter(None, found)) or USUAL for found in words)


def form(flavour: str, task: Task, asked: tuple[int, ...] = ()) -> Form:
    """The form called ``flavour`` for a model of ``task`` and the lengths ``asked`` for.

    ValueError for another name, UserError for more lengths than there may be.
    """
    if flavour not in flavours():
        raise ValueError(f"no flavour '{flavour}'")
    words = set(flavour.split("_"))
    lengths = next((word for word in ("fixed", "ranged") if word in words), "enumerated")
    if len(asked) > _MOST:
        raise UserError(
            f"{len(asked)} lengths are asked for; CoreML takes at most {_MOST} shapes.",
            "Choose fewer --lengths.",
        )
    if len(asked) > 1 and lengths != "enumerated":
        raise UserError(
            f"The flavour '{flavour}' takes one length, and {len(asked)} are asked for.",
            "Choose one, or leave 'fixed' and 'ranged' out of the flavour.",
        )
    classifies = task == "sequence-classification" and "logits" not in words
    return Form(
        "sequence" if "sequence" in words else "neural_engine",
        cast(Lengths, lengths),
        "classifier" if classifies else "logits",
        asked,
    )
