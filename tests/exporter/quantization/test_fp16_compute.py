"""The scheme of artifacts that compute in fp16."""

import numpy as np
import pytest
import torch
from small_models import make_batch, small_model, tensors

from exporter.model.config import TASKS, Task
from exporter.quantization.schemes import find_scheme
from exporter.quantization.schemes.fp16_compute import round_weights


def is_fp16(tensor: torch.Tensor) -> bool:
    return torch.equal(tensor.half().float(), tensor)


def test_weights_and_epsilons_are_fp16() -> None:
    model = small_model()
    rounded = round_weights(model)
    assert not any(is_fp16(tensor) for tensor in model.weights.values())
    assert all(is_fp16(tensor) for tensor in rounded.weights.values())
    for epsilon in (rounded.config.norm_epsilon, rounded.config.layer_norm_epsilon):
        assert float(np.float16(epsilon)) == epsilon > 0


@pytest.mark.parametrize("task", TASKS)
def test_outputs_are_fp16_and_close_to_fp32(task: Task) -> None:
    """The last row of the batch has no token: its scores must not leave fp16's range."""
    model, batch = small_model(task=task), tensors(make_batch(3, 9))
    with torch.no_grad():
        actual = find_scheme("fp16_compute").reference(model).run(**batch)
        expected = find_scheme("fp32").reference(model).run(**batch)
    assert actual.keys() == expected.keys()
    for name, value in actual.items():
        assert is_fp16(value)
        assert not torch.equal(value, expected[name])
        error = (value - expected[name]).square().mean().sqrt() / expected[name].std()
        assert error < find_scheme("fp16_compute").output_tolerance
