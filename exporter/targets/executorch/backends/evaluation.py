"""Evaluates artifacts whose delegate does not run here, as their dialect does."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from exporter.errors import REBUILD, UserError
from exporter.targets.base import INPUTS, Array
from exporter.targets.executorch.backends.graph import Dialect, Unknown, only_call
from exporter.targets.executorch.lower import SIZES
from exporter.targets.executorch.program import Activation, Program
from exporter.targets.inputs import check_inputs


class EvaluatedSession:
    """An artifact whose delegate does not run here; batches are evaluated text by text.

    With ``taps``, ``run`` also returns the hidden states ``hidden.0`` (embeddings) to ``hidden.N``,
    each [B, T, H], the last one [B, 1, H] in a sequence classifier. UserError for files that are
    not one program of the delegate alone.
    """

    def __init__(self, path: Path, dialect: Dialect, taps: bool = False) -> None:
        self._path = path
        program, found, self._order = only_call(path, dialect)
        self._graph = found.graph
        self._declared = [value for value in found.method.outputs if isinstance(value, Activation)]
        self._outputs, self._positions, self._sizes = _calling(program, path)
        if not len(self._declared) == len(found.method.outputs) == len(self._outputs):
            raise UserError(f"{path} does not name its outputs.", REBUILD)
        norms = [o.results[0].name for o in self._graph.operators if o.kind == dialect.norm[0]]
        # Embeddings, then two in every layer; a masked-lm head has one more.
        self._taps = tuple(norms[::2]) if taps else ()
        try:
            self._evaluate = dialect.prepare(self._graph)
        except Unknown as error:
            raise self._error(error) from error

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """``input_ids``, ``attention_mask``, ``token_type_ids``: int64 [B, T] -> outputs by name.

        Raises UserError for inputs of another name, type or shape, for ids outside the tables, for
        sequences longer than the model, and for what cannot be evaluated.
        """
        check_inputs(inputs, self._positions, self._sizes)
        batch = np.shape(inputs[INPUTS[0]])[0]
        rows = [
            self._run_one([inputs[name][row : row + 1] for name in INPUTS]) for row in range(batch)
        ]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _run_one(self, rows: Sequence[Array]) -> dict[str, Array]:
        try:
            given = [rows[index] for index in self._order]
            values = self._evaluate(given, {*self._graph.outputs, *self._taps})
        except Unknown as error:
            raise self._error(error) from error
        outputs = {
            name: values[value].astype(declared.dtype)
            for name, value, declared in zip(
                self._outputs, self._graph.outputs, self._declared, strict=True
            )
        }
        for index, name in enumerate(self._taps):
            outputs[f"hidden.{index}"] = values[name].astype(np.float32)
        return outputs

    def _error(self, error: Unknown) -> UserError:
        return UserError(f"{self._path} cannot be evaluated: {error}.", REBUILD)


def _calling(program: Program, path: Path) -> tuple[list[str], int, dict[str, int]]:
    """Names of the outputs, the longest sequence, and the sizes that bound the inputs."""
    constants = program.constants()
    try:
        names = [str(name) for name in json.loads(str(constants["output_names"]))]
        numbers = {name: int(str(constants[name])) for name in ("max_positions", *SIZES)}
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} does not say what its inputs and outputs are.", REBUILD) from error
    return names, numbers.pop("max_positions"), numbers
