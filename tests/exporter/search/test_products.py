"""Attention products on 8-bit grids: what is measured of them, and that it is measured."""

import dataclasses

import numpy as np
import pytest
import torch

from exporter.model.encoder import build_module
from exporter.quantization.activations import fake_quantize
from exporter.search.journal import Journal
from exporter.search.network import Networks
from exporter.search.products import QuantizedProducts, product_units
from exporter.search.sensitivity import measure, product_trials, trials
from tests.exporter.search.search_models import classifier, examples

TARGETS = {
    "tensor": ("int8_tensor", "int8_static", "fp32"),
    "token": ("int8_token", "int4_token", "fp32"),
}


@pytest.fixture(scope="module")
def networks():
    return Networks(classifier())


@pytest.fixture(scope="module")
def given(networks):
    return examples(networks.model, 40)


def by_definition(model, row, layer, inputs):
    """Logits of one example, its attention products written out head by head and row by row."""
    module = build_module(model)

    def grid(operand, axis):
        if inputs == "tensor":
            return fake_quantize(operand)
        rows = operand.movedim(axis, -1)
        flat = [fake_quantize(line) for line in rows.reshape(-1, rows.shape[-1])]
        return torch.stack(flat).reshape(rows.shape).movedim(-1, axis)

    class Products(torch.nn.Module):
        def forward(self, query, key, value, mask_bias):
            scores = torch.einsum("bhqd,bhkd->bhqk", grid(query, -1), grid(key, -1))
            probabilities = (scores / query.shape[-1] ** 0.5 + mask_bias).softmax(dim=-1)
            return torch.einsum("bhqk,bhkd->bhqd", grid(probabilities, -1), grid(value, -2))

    module.layers[layer].attention.products = Products()
    last, batch = model.config.layers - 1, {n: torch.from_numpy(v[None]) for n, v in row.items()}
    with torch.no_grad():
        hidden = module.embed(batch["input_ids"], batch["token_type_ids"])
        bias = module.mask_bias(batch["attention_mask"])
        for index in range(model.config.layers):
            hidden = module.layer(index, hidden, bias, first_only=index == last)
        return module.head(hidden)["logits"].numpy()[0]


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("inputs", list(TARGETS))
def test_products_in_a_padded_batch_are_those_of_each_example_alone(
    networks, given, inputs, layer, monkeypatch
):
    trial = product_trials(networks, TARGETS[inputs])[layer]
    network = networks.network(trial.mix, trial.products)
    monkeypatch.setattr(networks, "network", lambda _: network)
    found = networks.logits(trial.mix, given)
    expected = np.stack([by_definition(networks.model, row, layer, inputs) for row in given.rows])
    off = np.abs(found - expected).max(axis=1)
    plain = np.abs(given.reference - expected).max(axis=1)
    # As in test_network: now and then a value lies on the other side of a level's edge.
    assert np.median(off) < 1e-6
    assert np.median(plain) > 1e-5


@pytest.mark.parametrize("inputs", list(TARGETS))
@pytest.mark.parametrize("queries", [1, 8])
def test_what_stands_in_padding_widens_no_range(inputs, queries):
    generator = torch.Generator().manual_seed(0)
    operands = [torch.randn(2, 2, 8, 16, generator=generator) for _ in range(3)]
    valid, bias = torch.ones(2, 8, 1), torch.zeros(2, 1, 1, 8)
    valid[1, 5:], bias[1, :, :, 5:] = 0, torch.finfo(torch.float32).min
    for operand in operands:
        operand[1, :, 5:] *= 100
    first = operands[0][:, :, :queries]
    found = QuantizedProducts(inputs, lambda: valid)(first, *operands[1:], bias)[1:, :, :5]
    short = [operand[1:, :, :5] for operand in (first, *operands[1:])]
    expected = QuantizedProducts(inputs, lambda: valid[1:, :5])(*short, bias[1:, :, :, :5])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_all_layers_are_tried_with_inputs_as_of_the_targets_layers(networks, given, tmp_path):
    for inputs, methods in TARGETS.items():
        asked = product_trials(networks, methods)
        assert [t.unit for t in asked] == list(product_units(networks.model.config))
        assert [t.products for t in asked] == [{0: inputs}, {1: inputs}]
        found = measure(
            networks, asked, given, Journal(tmp_path / inputs), "key", seconds=60
        ).effects
        assert [name for name, _ in found] == [t.unit.name for t in asked]
        assert all(effect.divergence > 0 for effect in found.values())


def test_queries_that_stand_out_show_in_their_products_alone(networks, given, tmp_path):
    """A query's channel 128 times as large, the key's as much smaller: the function is the same."""
    weights = {name: value.clone() for name, value in networks.model.weights.items()}
    for part in ("weight", "bias"):
        weights[f"layers.1.attention.query.{part}"][0] *= 128
        weights[f"layers.1.attention.key.{part}"][0] /= 128
    planted = Networks(dataclasses.replace(networks.model, weights=weights))

    def effects(some, name):
        asked = (*trials(some, ("int8_tensor",), ()), *product_trials(some, TARGETS["tensor"]))
        return measure(some, asked, given, Journal(tmp_path / name), "key", seconds=60).effects

    before, after = effects(networks, "before"), effects(planted, "after")
    for place, effect in after.items():
        ratio = effect.divergence / before[place].divergence
        assert (ratio > 20) == (place[0] == "layers.1.attention.products"), (place, ratio)


def test_other_grids_are_refused():
    with pytest.raises(ValueError, match="no grid of products: static"):
        QuantizedProducts("static", lambda: torch.ones(1, 1, 1))
