"""What a trial finds is what its mix does; results outlive the run."""

import dataclasses

import numpy as np
import pytest

from exporter.errors import OutOfTime
from exporter.quantization.mix import units
from exporter.search.examples import judge
from exporter.search.journal import Journal
from exporter.search.network import Networks
from exporter.search.sensitivity import CHUNK, by_kind, helpful_smoothing, measure, trials
from tests.exporter.search.search_models import classifier, examples

METHODS = ("int8_tensor", "fp32", "int4_token")
TABLES = ("int8", "fp32", "int4")


@pytest.fixture(scope="module")
def networks():
    return Networks(classifier())


@pytest.fixture(scope="module")
def given(networks):
    return examples(networks.model, CHUNK + 8)


def run(networks, asked, given, path, **options):
    return measure(networks, asked, given, Journal(path), "key", **{"seconds": 60, **options})


def test_every_unit_is_tried_by_every_method_that_it_can_have(networks):
    asked = {trial.name for trial in trials(networks, METHODS, TABLES)}
    for unit in units(networks.model.config, networks.model.task):
        offered = TABLES if unit.kind == "embeddings" else METHODS
        expected = {f"{unit.name}:{method}" for method in offered if method != "fp32"}
        assert expected <= asked


def test_a_trial_finds_what_the_whole_model_by_its_mix_does(networks, given, tmp_path):
    asked = trials(networks, METHODS, TABLES)
    found = run(networks, asked, given, tmp_path / "journal")
    assert found.examples == len(given)
    for trial in asked:
        judged = judge(networks.logits(trial.mix, given), given)
        effect = found.effects[trial.unit.name, trial.method]
        assert effect.mean_divergence == pytest.approx(judged.divergence, rel=0.05, abs=1e-7)
        assert effect.loss == pytest.approx(judged.loss, abs=1e-9)
        assert effect.agreement == pytest.approx(judged.agreement, abs=1e-9)


def test_a_layer_with_an_outlier_is_more_sensitive(networks, given, tmp_path):
    weights = dict(networks.model.weights)
    attention = "layers.1.attention"
    for name in ("value.weight", "value.bias", "output.weight"):
        weights[f"{attention}.{name}"] = weights[f"{attention}.{name}"].clone()
    weights[f"{attention}.value.weight"][0] *= 128
    weights[f"{attention}.value.bias"][0] *= 128
    weights[f"{attention}.output.weight"][:, 0] /= 128
    planted = Networks(dataclasses.replace(networks.model, weights=weights))
    before = run(networks, trials(networks, ("int8_tensor",), ()), given, tmp_path / "before")
    after = run(planted, trials(planted, ("int8_tensor",), ()), given, tmp_path / "after")
    for place, effect in after.effects.items():
        ratio = effect.divergence / before.effects[place].divergence
        assert (ratio > 20) == (place[0] == f"{attention}.output"), (place, ratio)


def test_known_results_are_not_measured_again(networks, given, tmp_path):
    asked = trials(networks, ("int8_tensor",), ("int8",))
    path = tmp_path / "journal"
    first = run(networks, asked, given, path)
    content = path.read_text()
    again = run(networks, asked, given, path)
    assert again == first
    assert path.read_text() == content


def test_the_time_ends_a_measurement_after_whole_samples(networks, given, tmp_path):
    times = iter(np.arange(0.0, 1e6, 1.0))
    asked = trials(networks, ("int8_tensor",), ("int8",))
    found = run(
        networks, asked, given, tmp_path / "j", seconds=len(asked) + 5, clock=lambda: next(times)
    )
    assert found.examples == CHUNK


def test_a_time_that_is_too_short_for_a_sample_says_how_long_it_takes(networks, given, tmp_path):
    times = iter(np.arange(0.0, 1e6, 60.0))
    asked = trials(networks, ("int8_tensor",), ("int8",))
    with pytest.raises(OutOfTime, match="Measuring every layer on 32 examples takes"):
        run(networks, asked, given, tmp_path / "j", seconds=120, clock=lambda: next(times))
    assert len((tmp_path / "j").read_text().splitlines()) >= 2


def test_static_methods_need_bounds(networks):
    assert not trials(networks, ("int8_static",), ())
    bounds = dict.fromkeys(networks.fp32.methods, (-1.0, 1.0))
    found = trials(networks, ("int8_static",), (), bounds=bounds)
    assert len(found) == 2 * 4 + 1
    assert all(set(t.mix.bounds) == set(t.unit.members) for t in found)


def test_smoothing_counts_where_it_divides_the_divergence(networks, given, tmp_path):
    weights = dict(networks.model.weights)
    norm = "layers.0.attention.norm"
    for part in ("weight", "bias"):
        weights[f"{norm}.{part}"] = weights[f"{norm}.{part}"].clone()
        weights[f"{norm}.{part}"][3] *= 64
    name = "layers.0.feed_forward.intermediate.weight"
    weights[name] = weights[name].clone()
    weights[name][:, 3] /= 64
    outlier = Networks(dataclasses.replace(networks.model, weights=weights))
    factors = np.ones(64, np.float32)
    factors[3] = 64
    site = "layers.0.feed_forward"
    plain = run(outlier, trials(outlier, ("int8_tensor",), ()), given, tmp_path / "journal")
    asked = [
        t
        for t in trials(outlier, ("int8_tensor",), (), smoothing={site: factors})
        if t.mix.smoothing
    ]
    smoothed = run(outlier, asked, given, tmp_path / "journal")
    helped = helpful_smoothing(plain, smoothed, 1.5)
    assert list(helped) == [(f"{site}.intermediate", "int8_tensor")]
    assert not helpful_smoothing(plain, plain, 1.5)


def test_kinds_sum_their_units(networks, given, tmp_path):
    found = run(networks, trials(networks, ("int8_tensor",), ("int8",)), given, tmp_path / "j")
    sums = by_kind(found, units(networks.model.config, networks.model.task))
    assert set(sums) == {
        "embeddings", "attention", "post_attention", "intermediate", "output", "head",
    }  # fmt: skip
    total = sum(effect.mean_divergence for effect in found.effects.values())
    assert sum(sum(kind.values()) for kind in sums.values()) == pytest.approx(total)
