"""The input that every model is measured with: valid, seeded, batch 1, no padding."""

from typing import Any

import numpy as np

from runtime_bench.errors import RunnerError
from runtime_bench.plan import PEAK_PRODUCT, Entry


def golden_inputs(entry: Entry, length: int, seed: int) -> dict[str, dict[str, Any]]:
    """Inputs by name as a runner takes them: dtype, shape, values (repeated to fill the shape).

    Token ids are uniform over the vocabulary; equal for every artifact of models with the same
    vocabulary, so that their outputs can be compared. The mask is all ones, since padded
    positions cost the same and would only dilute the comparison. Raises RunnerError for an input
    that nothing is known about.
    """
    generator = np.random.default_rng([seed, length])
    if entry.bundle is None or entry.artifact is None:
        rows, inner, _ = PEAK_PRODUCT
        values = generator.standard_normal(inner + 1).round(4).tolist()
        return {"left": {"dtype": "float32", "shape": [rows, inner], "values": values}}
    inputs = {}
    for spec in entry.artifact.inputs:
        shape = [1, length]
        if spec.name == "input_ids":
            values = generator.integers(0, entry.bundle.model.vocab_size, length).tolist()
        elif spec.name == "attention_mask":
            values = [1]
        elif spec.name == "token_type_ids":
            values = [0]
        else:
            raise RunnerError(
                f"The input {spec.name} of {entry.artifact.path} is unknown.",
                "Known are input_ids, attention_mask and token_type_ids.",
            )
        inputs[spec.name] = {"dtype": spec.dtype, "shape": shape, "values": values}
    return inputs
