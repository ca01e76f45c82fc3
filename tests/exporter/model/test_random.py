"""Seeded weights are what an untrained model has; on sensitised weights every error shows."""

import dataclasses

import pytest
import torch

from exporter.model.config import FAMILIES, EncoderConfig, Family, SourceModel
from exporter.model.encoder import Layer, build_module
from exporter.model.random import SENSITISED_SCALE, seeded_weights, sensitised_weights

from .conftest import SmallConfig, make_batch

Weights = dict[str, torch.Tensor]


def last_hidden_state(config: EncoderConfig, weights: Weights) -> torch.Tensor:
    model = build_module(SourceModel(config, "feature-extraction", None, weights))
    return model.forward(*make_batch(5, 17))["last_hidden_state"]


def effect(
    config: EncoderConfig, weights: Weights, changed: Weights, other: EncoderConfig | None = None
) -> float:
    """Largest change of the output, relative to its spread."""
    before = last_hidden_state(config, weights)
    after = last_hidden_state(other or config, changed)
    return ((after - before).abs().max() / before.std()).item()


def without(weights: Weights, name: str) -> Weights:
    """The tensor's neutral value in its place: gain 1, anything else 0."""
    neutral = torch.ones_like if name.endswith("norm.weight") else torch.zeros_like
    return {**weights, name: neutral(weights[name])}


@pytest.mark.parametrize("make", [seeded_weights, sensitised_weights])
def test_weights_follow_the_seed_and_the_name_only(make: object, small_config: SmallConfig) -> None:
    assert callable(make)
    config = small_config()
    one = make(config, "sequence-classification", 3, 5)
    again = make(config, "sequence-classification", 3, 5)
    other_seed = make(config, "sequence-classification", 3, 6)
    other_task = make(small_config(layers=2), "feature-extraction", 0, 5)
    name = "layers.0.attention.query.weight"
    assert all(torch.equal(one[n], again[n]) for n in one)
    assert not torch.equal(one[name], other_seed[name])
    assert torch.equal(one[name], other_task[name])
    assert not torch.equal(one[name], one["layers.1.attention.query.weight"])


def test_seeded_weights_look_untrained(small_config: SmallConfig) -> None:
    weights = seeded_weights(small_config(vocab_size=2000), "sequence-classification", 3, 0)
    word = weights["embeddings.word.weight"]
    assert word[1:].std().item() == pytest.approx(0.02, rel=0.02)
    assert not word[0].any()
    assert weights["layers.0.attention.norm.weight"].eq(1).all()
    assert not weights["layers.0.attention.query.bias"].any()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_sensitised_parameter_shows(family: Family, small_config: SmallConfig) -> None:
    config = small_config(family)
    weights = sensitised_weights(config, "feature-extraction", 0, seed=3)
    effects = {name: effect(config, weights, without(weights, name)) for name in weights}
    keys = {name for name in effects if name.endswith("attention.key.bias")}
    # Adds one amount to all scores of a query: softmax does not see it, in any model.
    assert all(effects[name] < 1e-5 for name in keys)
    assert min(value for name, value in effects.items() if name not in keys) > 0.05


def test_seeded_weights_hide_what_sensitised_weights_show(small_config: SmallConfig) -> None:
    """Why parity is not measured on seeded weights: the tolerance is 1e-5."""
    config = small_config()
    seeded = seeded_weights(config, "feature-extraction", 0, seed=3)
    sensitised = sensitised_weights(config, "feature-extraction", 0, seed=3)
    gelu = dataclasses.replace(config, activation="gelu_new")
    epsilon = dataclasses.replace(config, layer_norm_epsilon=1e-6)
    bias = "layers.1.feed_forward.intermediate.bias"
    assert effect(config, seeded, seeded, gelu) < 1e-5
    assert effect(config, seeded, seeded, epsilon) < 1e-5
    assert effect(config, seeded, without(seeded, bias)) == 0
    assert effect(config, sensitised, sensitised, gelu) > 2e-3
    assert effect(config, sensitised, sensitised, epsilon) > 1e-3
    assert effect(config, sensitised, without(sensitised, bias)) > 0.05


def test_sensitised_activations_are_where_they_should_be(small_config: SmallConfig) -> None:
    """In every layer of a deep model: peaked attention, different tokens, curved activation."""
    config = small_config(layers=12, hidden_size=96, intermediate_size=192)
    weights = sensitised_weights(config, "feature-extraction", 0, seed=0)
    model = build_module(SourceModel(config, "feature-extraction", None, weights))
    ids, mask, types = make_batch(4, 32, padded=False)
    hidden = model.embed(ids, types)
    bias = model.mask_bias(mask)
    for index, layer in enumerate(model.layers):
        assert isinstance(layer, Layer)
        assert hidden.var(dim=1).mean() > 0.25 * hidden.var()  # share that is between tokens
        split = [
            linear(hidden).unflatten(-1, (config.heads, config.head_size)).transpose(1, 2)
            for linear in (layer.attention.query, layer.attention.key)
        ]
        scores = split[0] @ split[1].transpose(-1, -2) * config.head_size**-0.5
        assert 0.6 < scores.std(dim=-1).mean().item() < 3
        assert scores.softmax(-1).amax(-1).mean().item() > 3 / 32  # uniform would be 1 / 32
        inner = layer.feed_forward.intermediate(layer.attention(hidden, bias))
        assert 1 < inner.std().item() < 2
        hidden = model.layer(index, hidden, bias)
        expected = 1.0 if index == config.layers - 1 else SENSITISED_SCALE
        assert 0.8 * expected < hidden.std().item() < 1.5 * expected


@pytest.mark.parametrize("family", FAMILIES)
def test_sensitised_weights_survive_fp16(family: Family, small_config: SmallConfig) -> None:
    config = small_config(family, tied_decoder=False)
    weights = sensitised_weights(config, "masked-lm", 0, seed=3)
    for name, tensor in weights.items():
        assert tensor.to(torch.float16).isfinite().all(), name
        assert tensor.abs().max() < 1000, name
