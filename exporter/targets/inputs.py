"""What every session checks before it runs."""

from collections.abc import Mapping

import numpy as np

from exporter.errors import UserError
from exporter.targets.base import INPUTS, Array

#: The size that bounds each input that is an index.
_BOUNDS = {"input_ids": "vocab_size", "token_type_ids": "token_types"}


def check_inputs(
    inputs: Mapping[str, Array], positions: int, sizes: Mapping[str, int] | None = None
) -> None:
    """UserError unless the inputs are int64 [B, T] of one shape, and fit the model.

    ``positions`` is the longest T (0: not known). ``sizes`` are ``vocab_size`` and
    ``token_types``: without them the runtime itself has to refuse an index beyond its table.
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
    for name, size in _BOUNDS.items():
        # Runtimes count a negative index from the end, or end the whole process.
        least, most = inputs[name].min(), inputs[name].max()
        if least < 0 or (sizes is not None and most >= sizes[size]):
            allowed = "0 and more" if sizes is None else f"0 to {sizes[size] - 1}"
            raise UserError(
                f"{name} has values from {least} to {most}; allowed are {allowed}.",
                "Check that the ids are inside the vocabulary.",
            )
    if not np.isin(inputs["attention_mask"], (0, 1)).all():
        raise UserError("attention_mask has values other than 0 and 1.", "Mask with 0 and 1.")
    if positions and shape[1] > positions:
        raise UserError(
            f"The sequence has {shape[1]} tokens; the model has {positions} positions.",
            "Truncate the text.",
        )
