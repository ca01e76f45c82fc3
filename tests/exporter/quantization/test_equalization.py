"""Value channels that stand out lose accuracy in int8, and none once they are equalized."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import plant_in_queries, plant_in_values
from small_models import make_batch, small_model, tensors

import exporter
from exporter.checkpoint import load
from exporter.model.config import TASKS, Family, SourceModel, Task
from exporter.model.folding import fold_residual_biases
from exporter.quantization.equalization import equalize_values
from exporter.quantization.schemes import find_scheme
from exporter.tokenizer import load_tokenizer
from exporter.verification.classification import classify, encode_examples, reference_run
from exporter.verification.labelled_data import read_labelled

pytestmark = pytest.mark.usefixtures("quick")

#: A power of two: planting it and taking it away rounds nothing.
EXACT = 32.0


def near(one: SourceModel, other: SourceModel) -> bool:
    """Whether weights differ by a factor of 1/2, 1 or 2: what a row's own size cannot tell."""
    ratios = [one.weights[n][other.weights[n] != 0] for n in one.weights]
    wanted = [other.weights[n][other.weights[n] != 0] for n in one.weights]
    found = torch.cat([ratio / value for ratio, value in zip(ratios, wanted, strict=True)])
    return set(found.unique().tolist()) <= {0.5, 1.0, 2.0}


def same(one: SourceModel, other: SourceModel) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", ["squeezebert", "bert"])
def test_what_was_planted_is_taken_away(family: Family, task: Task) -> None:
    model = small_model(family, task)
    planted = plant_in_values(model, EXACT)
    assert not near(planted, model)
    assert near(equalize_values(planted), model)
    assert equalize_values(model) is model


@pytest.mark.parametrize("groups", [(1, 2, 4, 8, 4, 4), (4, 4, 1, 4, 1, 1), (2, 2, 8, 2, 2, 2)])
def test_any_groups(groups: tuple[int, int, int, int, int, int]) -> None:
    """The columns of a grouped post-attention layer are those of its group's channels."""
    model = small_model(groups=groups)
    assert near(equalize_values(plant_in_values(model, EXACT)), model)


@pytest.mark.parametrize("factor", [1 / 30, 3.0, 30.0, 3000.0])
def test_the_function_stays(factor: float) -> None:
    planted = plant_in_values(small_model(), factor)
    equalized = equalize_values(planted)
    assert not same(equalized, planted)
    assert equalize_values(equalized) is equalized
    batch = tensors(make_batch(3, 20))
    with torch.no_grad():
        found, expected = (
            find_scheme("fp32").reference(m).run(**batch)["logits"] for m in (equalized, planted)
        )
    # Powers of two change no sum; a product of blocked loops may still add in another order.
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_it_commutes_with_folding() -> None:
    planted = plant_in_values(small_model(), 30.0)
    one = equalize_values(fold_residual_biases(planted))
    assert same(one, fold_residual_biases(equalize_values(planted)))


def test_a_large_row_alone_stays() -> None:
    """Its column would be the outlier instead."""
    model = small_model()
    for name in ("value.weight", "output.weight"):
        name = f"layers.0.attention.{name}"
        weight = model.weights[name].clone()
        if "value" in name:
            weight[3] *= 30
        else:
            weight[:, 3] *= 30
        alone = replace(model, weights={**model.weights, name: weight})
        assert equalize_values(alone) is alone


def test_zeros_have_no_size() -> None:
    """A pruned channel, or a layer of nothing, is no outlier."""
    model = small_model()
    weights = dict(model.weights)
    weights["layers.0.attention.value.weight"] = torch.zeros(32, 8)
    pruned = weights["layers.1.attention.value.weight"].clone()
    pruned[:5] = 0
    weights["layers.1.attention.value.weight"] = pruned
    zeros = replace(model, weights=weights)
    assert equalize_values(zeros) is zeros


@pytest.fixture(scope="module")
def intents() -> Callable[[SourceModel, str], tuple[float, float]]:
    """Accuracy, and mean divergence from fp32, of a model of the example's function."""
    checkpoint = load("example:intents")
    folder = Path(exporter.__file__).parent / "examples" / "intents"
    data = read_labelled(folder / "clinc_test.tsv.gz", checkpoint.model.labels or (), limit=150)
    tokenizer = load_tokenizer(checkpoint.tokenizer_files)
    examples = encode_examples(tokenizer, data.texts, None, checkpoint.max_length)
    logits = classify(reference_run(checkpoint.model), examples, batch_size=16)
    expected = torch.from_numpy(logits).log_softmax(dim=-1)

    def measured(model: SourceModel, scheme: str) -> tuple[float, float]:
        reference = find_scheme(scheme).reference(model)

        def run(inputs):
            with torch.inference_mode():
                return reference.run(**tensors(inputs))["logits"].numpy()

        found = torch.from_numpy(classify(run, examples, batch_size=1)).log_softmax(dim=-1)
        divergence = (expected.exp() * (expected - found)).sum(dim=-1).mean()
        right = found.argmax(dim=-1).numpy() == np.array(data.labels)
        return float(right.mean()), float(divergence)

    return measured


def test_planted_values_lose_accuracy_and_none_once_equalized(intents) -> None:
    model = load("example:intents").model
    assert equalize_values(model) is model
    accuracy, divergence = intents(model, "int8")
    # Factors of 30 cost 10 times the divergence and little accuracy: this model is robust. At
    # 3000 the other channels have not one level left.
    _, worse = intents(plant_in_values(model, 30), "int8")
    assert worse > 5 * divergence
    lost, _ = intents(plant_in_values(model, 3000), "int8")
    assert lost < accuracy - 0.05
    for factor in (30, 3000):
        kept, repaired = intents(equalize_values(plant_in_values(model, factor)), "int8")
        assert abs(kept - accuracy) < 0.01
        assert repaired < 2 * divergence


def test_planted_queries_cost_nothing(intents) -> None:
    """Rows have their own scales, and scores are computed in fp32."""
    model = load("example:intents").model
    planted = plant_in_queries(model, EXACT)
    assert equalize_values(planted) is planted
    assert intents(planted, "int8") == pytest.approx(intents(model, "int8"), rel=1e-3)
