"""Costs are differences from the usual methods, and chance counts as none."""

import pytest

from exporter.quantization.mix import units
from exporter.search import timing
from exporter.search.costs import Cost, Costs, measure_costs, unit_costs
from exporter.search.journal import Journal
from exporter.search.timing import Timing, difference, interleaved
from tests.exporter.search.mixed_target import MixedTarget
from tests.exporter.search.search_models import classifier


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    model, target = classifier(), MixedTarget(methods=("int8_tensor", "fp32", "int4_tensor"))
    (spec,) = target.artifacts((), ())
    journal = Journal(tmp_path_factory.mktemp("costs") / "journal")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "FEWEST_ROUNDS", 2)
        patch.setattr(timing, "MOST_ROUNDS", 2)
        found = measure_costs(model.config, target, spec, journal, seconds=1)
    assert measure_costs(model.config, target, spec, journal, seconds=0) == found
    return found


def test_bytes_are_those_of_the_files(costs):
    for kind in ("attention", "post_attention", "intermediate", "output"):
        assert costs.kinds[kind]["fp32"].bytes_each == pytest.approx(3)
        assert costs.kinds[kind]["int4_tensor"].bytes_each == pytest.approx(-0.5)
    assert costs.kinds["embeddings.word"]["int4"].bytes_each == pytest.approx(-0.5)


def test_the_usual_methods_cost_nothing(costs):
    assert costs.usual == ("int8_tensor", "int8")
    model = classifier()
    each = unit_costs(costs, model.config, model.task)
    for unit in units(model.config, model.task):
        usual = each[unit.name, "int8" if unit.kind == "embeddings" else "int8_tensor"]
        assert (usual.milliseconds, usual.bytes) == (0, 0)


def test_what_computes_one_token_takes_no_time_but_bytes():
    made_up = {"fp32": Cost(2.0, 0.1, 3.0), "int8_tensor": Cost(0, 0, 0)}
    kinds = dict.fromkeys(("attention", "post_attention", "intermediate", "output"), made_up)
    tables = {f"embeddings.{name}": {"int8": Cost(0, 0, 0)} for name in ("word", "position")}
    found = Costs({**kinds, **tables}, ("int8_tensor", "int8"), 16, Timing(1, 1, 1, 12))
    model = classifier()
    each = unit_costs(found, model.config, model.task)
    assert each["layers.0.attention.output", "fp32"].milliseconds == 2
    assert each["layers.1.attention", "fp32"].milliseconds == 2
    assert each["layers.1.attention.output", "fp32"].milliseconds == 0
    assert each["head.pooler", "fp32"].milliseconds == 0
    assert each["head.pooler", "fp32"].bytes == 3 * 64 * 64


def test_differences_that_chance_explains_count_as_none():
    assert Cost(1.0, 0.8, 0.0).certain == 0
    assert Cost(-1.0, 0.5, 0.0).certain == -1


def test_a_round_counts_the_faster_of_two_runs_in_turn():
    order = []
    times = iter([0, 0, 5, 5, 8, 8, 10, 10, 11, 11] + [11] * 100)
    runs = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "FEWEST_ROUNDS", 1)
        patch.setattr(timing, "MOST_ROUNDS", 1)
        found = interleaved(runs, seconds=0, clock=lambda: next(times))
    assert order[-4:] == ["a", "b", "b", "a"]
    assert found == {"a": [1000.0], "b": [2000.0]}


def test_a_difference_is_taken_round_by_round():
    base = [float(i) for i in range(40)]
    found = difference([value + 2 for value in base], base)
    assert (found.median, found.low, found.high) == (2, 2, 2)
