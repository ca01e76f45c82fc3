"""Levels that make up for each other's errors, and only where that holds on other texts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import make_batch, small_model, tensors

from exporter.errors import UserError
from exporter.model.config import Family, SourceModel, Task
from exporter.quantization import gptq
from exporter.quantization.correction import HELD_BACK, corrected
from exporter.quantization.gptq import Hessians, improved, output_error
from exporter.quantization.mix import METHODS, Mix, uniform_mix
from exporter.quantization.rounding import (
    Rounded,
    quantize_blocks,
    quantize_rows,
    quantize_two_levels,
)
from exporter.quantization.schemes.mixed import mixed_reference

pytestmark = pytest.mark.usefixtures("quick")

ROWS = tuple(make_batch(1, 10 + index) for index in range(28))


def blocks(weight: torch.Tensor) -> Rounded:
    levels, scale = quantize_blocks(weight.numpy())
    return Rounded(levels, 4, scale)


def two_levels(weight: torch.Tensor) -> Rounded:
    return quantize_two_levels(weight.numpy())


def rows(weight: torch.Tensor) -> Rounded:
    levels, scale = quantize_rows(weight.numpy())
    return Rounded(levels, 8, scale[:, None])


def correlated(seed: int, groups: int, channels: int = 64, tokens: int = 600) -> torch.Tensor:
    """Inputs [groups, tokens, channels] of an eighth as many directions, and noise."""
    mixing = np.random.default_rng(99).standard_normal((groups, channels // 8, channels))
    generator = np.random.default_rng(seed)
    inputs = generator.standard_normal((groups, tokens, channels // 8)) @ mixing
    return torch.from_numpy(inputs + 0.1 * generator.standard_normal(inputs.shape))


def hessians(groups: int) -> Hessians:
    fitted, held_back = (correlated(seed, groups) for seed in (1, 2))
    return Hessians(fitted.mT @ fitted, held_back.mT @ held_back)


@pytest.mark.parametrize("rounding", [blocks, two_levels, rows])
@pytest.mark.parametrize("groups", [1, 4])
def test_outputs_come_nearer(rounding, groups: int) -> None:
    weight = torch.from_numpy(np.random.default_rng(3).standard_normal((48, 64))).float()
    plain, found = rounding(weight), hessians(groups)
    better = improved(weight, plain, found)
    assert better is not None
    assert output_error(weight, better, found.held_back) < 0.4 * output_error(
        weight, plain, found.held_back
    )
    assert np.abs(better.levels).max() <= (7 if better.bits == 4 else 127)
    assert better.levels.dtype == np.int8
    assert replace(better, levels=plain.levels) == plain


def test_the_error_is_that_of_the_outputs() -> None:
    weight = torch.from_numpy(np.random.default_rng(3).standard_normal((8, 64))).float()
    inputs, stored = correlated(1, 2), blocks(weight)
    difference = (weight - torch.from_numpy(stored.values())).double().reshape(2, 4, 64)
    outputs = inputs @ difference.mT
    expected = pytest.approx(float(outputs.square().sum()))
    assert output_error(weight, stored, inputs.mT @ inputs) == expected


def test_levels_that_do_no_better_on_other_texts_are_left_out() -> None:
    """Inputs that have nothing to do with each other: nearest is best."""
    weight = torch.from_numpy(np.random.default_rng(3).standard_normal((48, 64))).float()
    unrelated = Hessians(hessians(1).fitted, torch.eye(64).double()[None])
    assert improved(weight, blocks(weight), unrelated) is None
    same = Hessians(torch.eye(64).double()[None], torch.eye(64).double()[None])
    assert improved(weight, blocks(weight), same) is None


def test_inputs_that_are_always_zero() -> None:
    weight = torch.from_numpy(np.random.default_rng(3).standard_normal((48, 64))).float()
    inputs = [correlated(seed, 1) for seed in (1, 2)]
    for one in inputs:
        one[:, :, :10] = 0
    found = improved(weight, blocks(weight), Hessians(*(one.mT @ one for one in inputs)))
    assert found is not None
    assert np.array_equal(found.levels[:, :10], blocks(weight).levels[:, :10])
    nothing = torch.zeros(1, 64, 64).double()
    assert improved(weight, blocks(weight), Hessians(nothing, nothing)) is None


def test_levels_stay_near_their_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.from_numpy(np.random.default_rng(3).standard_normal((48, 64))).float()
    moved = []
    for limit in (7, 1):
        monkeypatch.setattr(gptq, "FARTHEST", limit)
        better = improved(weight, rows(weight), hessians(1))
        assert better is not None
        difference = better.levels.astype(int) - rows(weight).levels
        moved.append(int(np.abs(difference).max()))
    assert 1 < moved[0] <= 7
    assert moved[1] == 1


def test_errors_that_go_the_wrong_way_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.from_numpy(np.random.default_rng(3).standard_normal((48, 64))).float()
    factor = gptq._upper_factor
    monkeypatch.setattr(
        gptq, "_upper_factor", lambda hessian: 2 * factor(hessian).diag().diag() - factor(hessian)
    )
    assert improved(weight, blocks(weight), hessians(1)) is None


def model_with(
    method: str, task: Task = "sequence-classification", family: Family = "bert"
) -> SourceModel:
    """Rows of whole blocks in groups of 32 and 64 channels, or without groups."""
    model = (
        small_model(family, task, hidden_size=128, intermediate_size=256)
        if family == "squeezebert"
        else small_model(family, task)
    )
    return replace(model, mix=uniform_mix(model.config, model.task, method, "int8", "int8_tensor"))


def mix_of(model: SourceModel) -> Mix:
    assert model.mix is not None
    return model.mix


def error(model: SourceModel) -> float:
    """Against fp32, on other rows."""
    exact = replace(model, mix=uniform_mix(model.config, model.task, "fp32", "fp32"))
    references = mixed_reference(model), mixed_reference(exact)
    total = 0.0
    with torch.no_grad():
        for length in range(3, 10):
            batch = tensors(make_batch(1, 4 * length))
            found, expected = (next(iter(r.run(**batch).values())) for r in references)
            total += float((found - expected).square().mean() / expected.square().mean())
    return total


@pytest.mark.parametrize("family", ["squeezebert", "bert"])
@pytest.mark.parametrize("method", ["int4_token", "int4_tensor"])
def test_a_corrected_model_is_nearer_to_fp32(method: str, family: Family) -> None:
    model = model_with(method, "feature-extraction", family)
    seen: list[str] = []
    levels = corrected(model, ROWS, progress=seen.append)
    assert set(levels) <= {f"{n}.weight" for n, m in mix_of(model).methods.items() if m == method}
    assert len(levels) > 6
    assert seen[0] == "correcting layers.0.attention"
    assert len(seen) == 8
    better = replace(model, mix=replace(mix_of(model), corrected=levels))
    assert error(better) < 0.8 * error(model)
    again = corrected(better, ROWS)
    assert all(np.array_equal(again[n].levels, found.levels) for n, found in levels.items())


def test_heads_and_the_first_token() -> None:
    """A classifier's last layer computes one token of a text, and its pooler reads one."""
    levels = corrected(
        model_with("int4_tensor"), ROWS, ["head.pooler", "layers.1.feed_forward.output"]
    )
    assert set(levels) <= {"head.pooler.weight", "layers.1.feed_forward.output.weight"}
    for task in ("masked-lm", "question-answering", "token-classification"):
        names = ["head.transform"] if task == "masked-lm" else ["layers.1.attention.value"]
        found = corrected(model_with("int4_token", task), ROWS, names)
        assert set(found) == {f"{name}.weight" for name in names}


def test_int8_is_corrected_where_it_is_asked_for() -> None:
    model = model_with("int8_tensor")
    assert corrected(model, ROWS) == {}
    name = "layers.0.attention.query"
    (found,) = corrected(model, ROWS, [name]).values()
    assert found.bits == METHODS["int8_tensor"].bits


def test_it_needs_texts_and_a_mix() -> None:
    with pytest.raises(UserError, match=f"7 texts are too few.* at least {HELD_BACK}"):
        corrected(model_with("int4_token"), ROWS[:7])
    with pytest.raises(UserError, match="has no mix"):
        corrected(small_model(), ROWS)
