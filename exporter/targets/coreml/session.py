"""Runs a CoreML package with the interpreter."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from exporter.errors import REBUILD, UserError
from exporter.targets.base import INPUTS, OUTPUTS, Array
from exporter.targets.coreml.interpreter import (
    Interpreter,
    Package,
    RangeReport,
    open_package,
    range_report,
)
from exporter.targets.inputs import check_inputs

#: Results of the program that are hidden states, by their number.
TAP = "hidden_{}"

#: Masks what brings a text to a length of the package where the text has no token at all: twice as
#: strongly as 0, so that it attends to its own positions alone, as in PyTorch.
_BEYOND = -1

#: Of the probabilities, which are fp32: those of one label rounded the other way.
_PROBABILITY_ERROR = 1e-6


def output_names(task: str) -> tuple[str, ...]:
    """Of the task that a package names; () where there is no such task."""
    return next((names for known, names in OUTPUTS.items() if known == task), ())


class CoremlSession:
    """A package in the interpreter; batches run text by text.

    A text is padded to the next length that the package takes. With ``taps``, ``run`` also
    returns the hidden states ``hidden.0`` (embeddings) to ``hidden.N``, each [B, T, H], the last
    one [B, 1, H] in a sequence classifier. UserError for what is no package of this project.
    """

    def __init__(self, path: Path, taps: bool = False) -> None:
        self._path = path
        self._package = open_package(path)
        self._interpreter = Interpreter(self._package)
        self._sizes, self._lengths = sizes(self._package, path), lengths(self._package, path)
        task = self._package.description.user_defined.get("task", "")
        self._outputs = output_names(task)
        if not self._outputs:
            raise UserError(f"{path} does not say what its task is.", REBUILD)
        if not set(self._outputs) <= set(self._package.program.outputs):
            raise UserError(f"{path} has other outputs than its task, {task}.", REBUILD)
        self._by_token = task != "sequence-classification"
        self._taps = _taps(self._package) if taps else ()
        self._labels = _labels(self._package, path)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """``input_ids``, ``attention_mask``, ``token_type_ids``: int64 [B, T] -> outputs by name.

        Raises UserError for inputs of another name, type or shape, for ids outside the tables, for
        texts longer than the package takes, and for a class that is not that of the logits.
        """
        check_inputs(inputs, self._lengths[-1], self._sizes)
        rows = [
            self._run_one({name: inputs[name][row : row + 1] for name in INPUTS})
            for row in range(len(inputs[INPUTS[0]]))
        ]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def ranges(self, inputs: Mapping[str, Array]) -> RangeReport:
        """The range of every value that the package computes of the inputs, as ``run`` takes them.

        Raises UserError as ``run`` does.
        """
        check_inputs(inputs, self._lengths[-1], self._sizes)
        rows = range(len(inputs[INPUTS[0]]))
        batches = [self.pad({name: inputs[name][r : r + 1] for name in INPUTS}) for r in rows]
        return range_report(self._package, batches)

    def pad(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs [1, T] at the next length that the package takes, int32 as it wants them."""
        length = inputs[INPUTS[0]].shape[1]
        ranged = is_ranged(self._package)
        padded = length if ranged else next(n for n in self._lengths if n >= length)
        beyond = 0 if inputs["attention_mask"].any() else _BEYOND
        fillings = (self._sizes["pad_token_id"], beyond, 0)
        return {
            name: np.pad(
                inputs[name], ((0, 0), (0, padded - length)), constant_values=filling
            ).astype(np.int32)
            for name, filling in zip(INPUTS, fillings, strict=True)
        }

    def _run_one(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        length = inputs[INPUTS[0]].shape[1]
        values = self._interpreter.run(self.pad(inputs), taps=self._taps)
        outputs = {name: values[name] for name in self._outputs}
        if self._labels:
            self._check_classes(values, outputs["logits"][0])
        if self._by_token:
            outputs = {name: value[:, :length] for name, value in outputs.items()}
        for index, name in enumerate(self._taps):
            outputs[f"hidden.{index}"] = _tokens_first(values[name])[:, :length]
        return outputs

    def _check_classes(self, values: Mapping[str, Array], logits: Array) -> None:
        """The class and its probability follow from the logits, which are what is proved."""
        if not np.isfinite(logits).all():
            return  # nor are the probabilities; whoever reads the logits sees it
        label, probabilities = self._package.description.predicted
        exponentials = np.exp(logits.astype(np.float64) - logits.max())
        error = np.abs(values[probabilities] - exponentials / exponentials.sum()).max()
        # Of two labels that are as likely, either is right.
        chosen = self._labels.index(str(values[label]))
        behind = values[probabilities].max() - values[probabilities][chosen]
        if max(error, behind) > _PROBABILITY_ERROR:
            raise UserError(
                f"{self._path} gives a class or probabilities that are not those of its logits.",
                REBUILD,
            )


def sizes(package: Package, path: Path) -> dict[str, int]:
    """The sizes that bound the inputs, and the id of padding."""
    names = ("vocab_size", "token_types", "pad_token_id")
    try:
        return {name: int(package.description.user_defined[name]) for name in names}
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} does not say what its inputs are.", REBUILD) from error


def lengths(package: Package, path: Path) -> tuple[int, ...]:
    """The numbers of tokens that the package takes, rising; of a range its limit alone.

    UserError unless they are those that it says it was made for: nothing else would miss one.
    """
    found = {tensor.name: tensor for tensor in package.description.inputs}
    shapes = {(v.shape, v.enumerated, v.ranges) for v in found.values()}
    if set(found) != set(INPUTS) or len(shapes) != 1:
        raise UserError(f"{path} has other inputs than {', '.join(INPUTS)}.", REBUILD)
    feature = found[INPUTS[0]]
    taken = tuple(sorted(shape[1] for shape in feature.enumerated or (feature.shape,)))
    if feature.ranges:
        taken = (int(feature.ranges[1][1] or 0),)
    said = _said(package, "lengths", path)
    if not isinstance(said, list) or tuple(said[1:]) != taken:
        raise UserError(f"{path} takes texts of other lengths than it says.", REBUILD)
    return taken


def is_ranged(package: Package) -> bool:
    """Whether the package takes every length up to its longest."""
    return any(feature.ranges for feature in package.description.inputs)


def _taps(package: Package) -> tuple[str, ...]:
    produced = {r.name for operation in package.program.operations for r in operation.results}
    names: list[str] = []
    while TAP.format(len(names)) in produced:
        names.append(TAP.format(len(names)))
    return tuple(names)


def _labels(package: Package, path: Path) -> tuple[str, ...]:
    """Names of the classes of a classifier, () of other packages."""
    classes = tuple(package.description.class_labels)
    if classes and list(classes) != _said(package, "labels", path):
        raise UserError(f"{path} names its classes in another order than its labels.", REBUILD)
    return classes


def _said(package: Package, key: str, path: Path) -> object:
    """What the package says of itself under ``key``, in JSON."""
    try:
        found: object = json.loads(package.description.user_defined[key])
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} does not say what its {key} are.", REBUILD) from error
    return found


def _tokens_first(hidden: Array) -> Array:
    """[1, C, 1, S] or [1, S, C] -> [1, S, C] float32."""
    tokens = hidden[:, :, 0].transpose(0, 2, 1) if hidden.ndim == 4 else hidden
    result: Array = tokens.astype(np.float32)
    return result
