"""The network of the search computes what the mix's reference does of each example alone."""

import dataclasses

import numpy as np
import pytest
import torch

from exporter.quantization.mix import METHODS, possible, smoothing_sites, uniform_mix
from exporter.quantization.schemes.mixed import mixed_reference, rounded_weights
from exporter.search.examples import padded
from exporter.search.network import Networks
from tests.exporter.search.search_models import classifier, examples, rows, with_mix


def alone(model, mix, given):
    reference = mixed_reference(with_mix(model, mix))
    found = []
    with torch.no_grad():
        for row in given:
            batch = {name: torch.from_numpy(values[None]) for name, values in row.items()}
            found.append(reference.run(**batch)["logits"].numpy()[0])
    return np.stack(found)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "fp32"])
@pytest.mark.parametrize("groups", [(1, 1, 1, 1, 1, 1), (2, 2, 2, 1, 2, 2)])
def test_an_example_in_a_padded_batch_is_computed_as_if_alone(method, groups):
    model = classifier(groups=groups)
    mix = uniform_mix(model.config, model.task, method, "int8", "int8_tensor")
    factors = np.exp2(np.random.default_rng(1).integers(-2, 3, 64)).astype(np.float32)
    mix = dataclasses.replace(
        mix,
        bounds=dict.fromkeys(mix.methods, (-3.0, 3.0)),
        smoothing=dict.fromkeys(smoothing_sites(model.config), factors),
    )
    given = examples(model, 12)
    found = Networks(model).logits(mix, given)
    # Sums of a batch round differently, which may put a value on the other side of a level's edge:
    # an example or two are then off by that step (0.0022 once), all others by less than 1e-5.
    off = np.abs(found - alone(model, mix, given.rows)).max(axis=1)
    assert np.median(off) < 1e-5
    assert off.max() < 1e-2


def test_the_comparison_would_see_ranges_of_a_whole_batch():
    model = classifier()
    given = examples(model, 12)
    mix = uniform_mix(model.config, model.task, "int8_tensor", "int8")
    batch = {name: torch.from_numpy(values) for name, values in padded(given.rows).items()}
    with torch.no_grad():
        together = mixed_reference(with_mix(model, mix)).run(**batch)["logits"].numpy()
    off = np.abs(together - alone(model, mix, given.rows)).max(axis=1)
    assert np.median(off) > 1e-4


def test_fp32_is_the_model_itself():
    model = classifier()
    networks, given = Networks(model), rows(5)
    np.testing.assert_allclose(
        networks.logits(networks.fp32, examples(model, 5)),
        alone(model, networks.fp32, given),
        rtol=0,
        atol=1e-5,
    )


def test_stored_weights_are_those_of_the_reference():
    model = classifier()
    networks = Networks(model)
    for table in ("int8", "int4"):
        mix = uniform_mix(model.config, model.task, "int4_tensor", table)
        assert possible(model.config, model.task, "embeddings.word", table)
        expected = rounded_weights(with_mix(model, mix))
        found = networks.stored(mix)
        assert found.keys() == expected.keys()
        for name, weight in expected.items():
            np.testing.assert_array_equal(found[name].values(), weight.values())


def test_other_tasks_are_refused():
    with pytest.raises(ValueError, match="classifier"):
        Networks(classifier(task="masked-lm"))
