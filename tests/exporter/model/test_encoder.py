"""The encoder against transformers' own models: same outputs, layer by layer."""

import dataclasses
from typing import Any

import pytest
import torch
from transformers.activations import ACT2FN

from exporter.model.config import (
    ACTIVATIONS,
    FAMILIES,
    TASKS,
    EncoderConfig,
    Family,
    GroupCounts,
    SourceModel,
    Task,
)
from exporter.model.encoder import ACTIVATION_FUNCTIONS, EncoderModel, build_module
from exporter.model.layers import GroupedLinear
from exporter.model.random import sensitised_weights
from exporter.model.reference import reference_outputs, transformers_model

from .conftest import Batch, SmallConfig, SmallSource, make_batch

# fp32 against fp32 in another order of summation: 4e-6 measured over everything in this file.
# The smallest mutation below, an epsilon of 1e-6 in the embeddings, is 50 times the tolerance.
TOLERANCE = 1e-5


def largest_difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest absolute difference, relative to the spread of the reference where it is below 1."""
    assert ours.shape == theirs.shape
    scale = min(1.0, theirs.std().item()) if theirs.numel() > 1 else 1.0
    return (ours - theirs).abs().max().item() / scale


def hidden_states(model: EncoderModel, batch: Batch) -> list[torch.Tensor]:
    ids, mask, types = batch
    states = [model.embed(ids, types)]
    for index in range(model.config.layers):
        states.append(model.layer(index, states[-1], model.mask_bias(mask)))
    return states


def assert_equal_to_transformers(source: SourceModel, batch: Batch) -> None:
    model, reference = build_module(source), transformers_model(source)
    outputs, states = reference_outputs(reference, *batch)
    ours = model(*batch)
    assert ours.keys() == outputs.keys()
    for name, expected in outputs.items():
        assert ours[name].isfinite().all()
        assert largest_difference(ours[name], expected) < TOLERANCE, name
    for index, (state, expected) in enumerate(
        zip(hidden_states(model, batch), states, strict=True)
    ):
        assert largest_difference(state, expected) < TOLERANCE, f"hidden state {index}"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_task_equals_transformers(
    family: Family, task: Task, small_config: SmallConfig, small_source: SmallSource
) -> None:
    assert_equal_to_transformers(small_source(small_config(family), task), make_batch(5, 17))


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (1, 40), (2, 7), (8, 33)])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_lengths_batches_and_padding_equal_transformers(
    family: Family,
    rows: int,
    length: int,
    padded: bool,
    small_config: SmallConfig,
    small_source: SmallSource,
) -> None:
    batch = make_batch(rows, length, padded=padded)
    assert_equal_to_transformers(
        small_source(small_config(family), "sequence-classification"), batch
    )


@pytest.mark.parametrize(
    "groups",
    [
        GroupCounts(),
        GroupCounts(2, 4, 8, 3, 6, 12),
        GroupCounts(1, 2, 4, 8, 16, 48),
        GroupCounts(query=48),
        GroupCounts(post_attention=6, intermediate=1, output=2),
    ],
)
def test_any_group_counts_equal_transformers(
    groups: GroupCounts, small_config: SmallConfig, small_source: SmallSource
) -> None:
    assert_equal_to_transformers(small_source(small_config(groups=groups)), make_batch(3, 11))


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS.values())))
@pytest.mark.parametrize("family", FAMILIES)
def test_activations_equal_transformers(
    family: Family, activation: str, small_config: SmallConfig, small_source: SmallSource
) -> None:
    config = small_config(family, activation=activation)
    assert_equal_to_transformers(small_source(config, "masked-lm"), make_batch(3, 11))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activation_names_mean_what_they_mean_in_transformers(name: str) -> None:
    values = torch.linspace(-8, 8, 4001)
    ours = ACTIVATION_FUNCTIONS[ACTIVATIONS[name]](values)
    assert (ours - ACT2FN[name](values)).abs().max() < 2e-6


@pytest.mark.parametrize("epsilon", [1e-12, 1e-5, 1e-3])
@pytest.mark.parametrize("family", FAMILIES)
def test_epsilon_equals_transformers(
    family: Family, epsilon: float, small_config: SmallConfig, small_source: SmallSource
) -> None:
    values = {**small_config(family).to_hugging_face("masked-lm"), "layer_norm_eps": epsilon}
    config = EncoderConfig.from_hugging_face(values)
    assert_equal_to_transformers(small_source(config, "masked-lm"), make_batch(3, 11))


@pytest.mark.parametrize("family", FAMILIES)
def test_untied_decoder_equals_transformers(
    family: Family, small_config: SmallConfig, small_source: SmallSource
) -> None:
    config = small_config(family, tied_decoder=False)
    source = small_source(config, "masked-lm")
    assert "head.decoder.weight" in source.weights
    assert_equal_to_transformers(source, make_batch(3, 11))


@pytest.mark.parametrize("change", [{"heads": 1}, {"heads": 48}, {"layers": 1}, {"token_types": 3}])
@pytest.mark.parametrize("family", FAMILIES)
def test_other_sizes_equal_transformers(
    family: Family, change: dict[str, Any], small_config: SmallConfig, small_source: SmallSource
) -> None:
    assert_equal_to_transformers(small_source(small_config(family, **change)), make_batch(3, 11))


MUTATIONS: dict[str, dict[str, Any]] = {
    "gelu variant": {"activation": "gelu_new"},
    "epsilon of the layers": {"layer_norm_epsilon": 1e-6},
    "epsilon of the embeddings": {"norm_epsilon": 1e-6},
    "heads": {"heads": 2},
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_tolerance_catches_a_wrong_configuration(
    name: str, small_config: SmallConfig, small_source: SmallSource
) -> None:
    source = small_source(small_config())
    batch = make_batch(5, 17)
    wrong = dataclasses.replace(
        source, config=dataclasses.replace(source.config, **MUTATIONS[name])
    )
    expected, _ = reference_outputs(transformers_model(source), *batch)
    found = build_module(wrong)(*batch)
    difference = largest_difference(found["last_hidden_state"], expected["last_hidden_state"])
    assert difference > 30 * TOLERANCE


@pytest.mark.parametrize("name", ["mask", "token types", "positions", "swapped query and key"])
def test_tolerance_catches_wrong_inputs_and_weights(
    name: str, small_config: SmallConfig, small_source: SmallSource
) -> None:
    source = small_source(small_config())
    ids, mask, types = make_batch(5, 17)
    expected, _ = reference_outputs(transformers_model(source), ids, mask, types)
    weights = dict(source.weights)
    if name == "mask":
        mask = torch.ones_like(mask)
    elif name == "token types":
        types = torch.zeros_like(types)
    elif name == "positions":
        weights["embeddings.position.weight"] = weights["embeddings.position.weight"].roll(1, 0)
    else:
        query, key = "layers.2.attention.query.weight", "layers.2.attention.key.weight"
        weights[query], weights[key] = weights[key], weights[query]
    found = build_module(dataclasses.replace(source, weights=weights))(ids, mask, types)
    difference = largest_difference(found["last_hidden_state"], expected["last_hidden_state"])
    assert difference > 1000 * TOLERANCE


def test_padding_does_not_change_a_row(
    small_config: SmallConfig, small_source: SmallSource
) -> None:
    model = build_module(small_source(small_config(), "sequence-classification"))
    ids, mask, types = make_batch(2, 20, padded=False)
    mask[1, 12:] = 0
    alone = model(ids[1:, :12], mask[1:, :12], types[1:, :12])["logits"]
    torch.testing.assert_close(model(ids, mask, types)["logits"][1:], alone, atol=2e-6, rtol=0)


def test_grouped_linear_is_a_convolution_with_groups() -> None:
    layer = GroupedLinear(24, 36, groups=6)
    convolution = torch.nn.Conv1d(24, 36, kernel_size=1, groups=6)
    layer.load_state_dict(
        {"weight": convolution.weight.detach()[..., 0], "bias": convolution.bias.detach()}  # type: ignore[union-attr]
    )
    hidden = torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(0))
    expected = convolution(hidden.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(layer(hidden), expected, atol=1e-6, rtol=0)


def test_weights_are_shared_and_need_no_gradient(
    small_config: SmallConfig, small_source: SmallSource
) -> None:
    source = small_source(small_config("bert"), "masked-lm")
    model = build_module(source)
    word = source.weights["embeddings.word.weight"]
    assert model.embeddings.word.weight.data_ptr() == word.data_ptr()
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model.training


def test_loading_is_strict(small_config: SmallConfig) -> None:
    config = small_config()
    weights = sensitised_weights(config, "feature-extraction", 0, seed=0)
    del weights["layers.1.attention.key.bias"]
    with pytest.raises(RuntimeError, match=r"layers\.1\.attention\.key\.bias"):
        build_module(SourceModel(config, "feature-extraction", None, weights))
