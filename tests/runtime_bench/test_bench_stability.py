"""Each kind of trouble is recognised, and a calm measurement is not warned about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_bench.gates import HostState, host_warnings
from runtime_bench.report.remarks import disagreement, grouped, wide_intervals
from runtime_bench.stability import Evidence, Finding, drift, instability, is_bimodal
from runtime_bench.statistics import Blocks, Interval, Ratio


def calm_blocks(seed: int = 0, rounds: int = 10) -> Blocks:
    generator = np.random.default_rng(seed)
    return {index: generator.normal(10, 0.1, 40) for index in range(rounds)}


def evidence(wall: Blocks, **changes: object) -> Evidence:
    values: dict[str, object] = {
        "cpu": wall,
        "threads": 1,
        "steady": True,
        "other_load": [0.02] * len(wall),
        "stolen": [0.0] * len(wall),
    }
    return Evidence(wall=wall, **{**values, **changes})  # type: ignore[arg-type]


def codes(found: list[Finding]) -> list[str]:
    return [item.code for item in found]


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_calm_measurement_has_no_warning(seed: int) -> None:
    assert instability(evidence(calm_blocks(seed))) == []


def test_a_drift_is_seen() -> None:
    wall = {index: block * (1 + 0.02 * index) for index, block in calm_blocks().items()}
    assert "drift" in codes(instability(evidence(wall)))
    assert drift(np.linspace(1.0, 1.2, 10)) == pytest.approx(0.17, abs=0.02)
    assert drift(np.array([1.0, 2.0, 3.0])) == 0
    assert drift(np.array([1.0, 1.5, 1.0, 1.5, 1.0, 1.5, 1.0, 1.5, 1.0, 1.5])) == 0


def test_blocks_that_differ_without_drift_are_seen() -> None:
    wall = {index: block * (1 + 0.15 * (index % 2)) for index, block in calm_blocks().items()}
    assert "block-spread" in codes(instability(evidence(wall)))


@given(st.integers(0, 10_000), st.floats(0.25, 0.75))
@settings(max_examples=40, deadline=None)
def test_two_speeds_are_bimodal(seed: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    slow = generator.random(400) < share
    assert is_bimodal(np.where(slow, 13.0, 10.0) * generator.normal(1, 0.01, 400))


@pytest.mark.parametrize("kind", ["normal", "uniform", "lognormal", "exponential"])
def test_one_mode_is_not_bimodal_whatever_its_shape(kind: str) -> None:
    for seed in range(20):
        generator = np.random.default_rng(seed)
        shapes = {
            "normal": generator.normal(10, 1, 400),
            "uniform": generator.uniform(8, 12, 400),
            "lognormal": 10 * generator.lognormal(0, 0.2, 400),
            "exponential": 10 + generator.exponential(1, 400),
        }
        assert not is_bimodal(shapes[kind])


def test_nanoseconds_do_not_lose_the_variance() -> None:
    generator = np.random.default_rng(0)
    assert not is_bimodal(generator.normal(1e12, 1e6, 400))
    assert is_bimodal(np.where(generator.random(400) < 0.5, 1e12, 1.2e12))


def test_waiting_for_a_core_is_seen_at_one_thread_only() -> None:
    wall = calm_blocks()
    cpu = {index: block * 0.7 for index, block in wall.items()}
    assert "waiting" in codes(instability(evidence(wall, cpu=cpu)))
    assert "waiting" not in codes(instability(evidence(wall, cpu=cpu, threads=2)))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"steady": False}, "warm-up"),
        ({"other_load": [1.0] * 10}, "other-load"),
        ({"stolen": [0.5] * 10}, "stolen"),
    ],
)
def test_circumstances_are_seen(changes: dict[str, object], code: str) -> None:
    found = instability(evidence(calm_blocks(), **changes))
    assert codes(found) == [code]
    assert found[0].remedy


def test_only_the_widest_interval_is_named() -> None:
    wide = Ratio(2.0, Interval(1.8, 2.2), 10, "faster")
    wider = Ratio(2.0, Interval(1.5, 2.5), 10, "faster")
    narrow = Ratio(2.0, Interval(1.99, 2.01), 10, "faster")
    found = wide_intervals([("a", wide), ("b", wider), ("c", narrow)])
    assert [place for place, _ in found] == ["b"]
    assert "25% to either side, and 1 more" in found[0][1].detail
    assert "--blocks 20" in found[0][1].remedy
    assert wide_intervals([("c", narrow)]) == []
    assert wide_intervals([("d", Ratio(2.0, None, 2, "undecided"))])[0][1].code == "few-blocks"


@pytest.mark.parametrize(
    ("precision", "cosine", "warned"),
    [
        ("int8", 0.987, False),
        ("int8", 0.82, True),
        ("fp16", 0.9985, True),
        ("fp32", 0.999, True),
        ("fp32", 0.99999, False),
        ("int8", None, True),
    ],
)
def test_artifacts_that_disagree_are_named(
    precision: str, cosine: float | None, warned: bool
) -> None:
    assert bool(disagreement(precision, "reference", cosine)) == warned
    assert disagreement(precision, None, cosine) == []


def test_findings_of_one_kind_become_one_warning() -> None:
    one = Finding("drift", "moved", "by 7%", "Wait.")
    found = grouped([("a", one), ("b", one)], "8 tokens")
    assert [item.message for item in found] == ["8 tokens: moved: a by 7%; b by 7%."]


def test_a_quiet_host_passes_the_gates_and_each_trouble_is_named() -> None:
    quiet = HostState(4, 0.05, 8 * 10**9, "performance", False)
    assert host_warnings(quiet, (1, 4), 10**9) == ()
    troubled = HostState(4, 2.0, 10**9, "powersave", True)
    found = host_warnings(troubled, (1, 8), 10**9)
    expected = ["other-load", "threads-above-cores", "memory", "governor", "battery"]
    assert [item.code for item in found] == expected
    assert all(item.remedy for item in found)
