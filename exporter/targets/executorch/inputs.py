"""What every session of this target checks before it runs."""

from collections.abc import Mapping

import numpy as np

from exporter.errors import UserError
from exporter.targets.base import Array
from exporter.targets.executorch.lower import INPUTS


def check_inputs(inputs: Mapping[str, Array], sizes: Mapping[str, int], positions: int) -> None:
    """UserError unless the inputs are int64 [B, T] of one shape, and fit the model.

    ``sizes`` are the model's ``vocab_size`` and ``token_types``; ``positions`` is its longest T.
    """
    shapes = {name: np.shape(inputs[name]) if name in inputs else () for name in INPUTS}
    types = {name: getattr(inputs.get(name), "dtype", None) for name in INPUTS}
    shape = shapes[INPUTS[0]]
    if (
        set(inputs) != set(INPUTS)
        or set(shapes.values()) != {shape}
        or set(types.values()) != {np.dtype(np.int64)}
        or len(shape) != 2
        or 0 in shape
    ):
        given = {
            name: (str(getattr(value, "dtype", type(value).__name__)), np.shape(value))
            for name, value in inputs.items()
        }
        raise UserError(
            f"The inputs are {given}.",
            f"Give {', '.join(INPUTS)}, each int64 [batch, sequence], of one shape.",
        )
    bounds = {"input_ids": "vocab_size", "token_type_ids": "token_types"}
    for name, bound in ((name, sizes[size]) for name, size in bounds.items()):
        # The runtime's lookup ends the whole process at an index outside its table.
        if inputs[name].min() < 0 or inputs[name].max() >= bound:
            raise UserError(
                f"{name} has values outside 0 to {bound - 1}.",
                "Check that the ids are inside the vocabulary.",
            )
    if not np.isin(inputs[INPUTS[1]], (0, 1)).all():
        raise UserError("attention_mask has values other than 0 and 1.", "Mask with 0 and 1.")
    if shape[1] > positions:
        raise UserError(
            f"The sequence has {shape[1]} tokens; the model has {positions} positions.",
            "Truncate the text.",
        )
