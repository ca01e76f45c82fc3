"""Corrected levels end with their time, and are kept whole or not at all."""

import dataclasses

import numpy as np

from exporter.quantization.mix import Mix
from exporter.search.levels import correct, remove_old_levels
from exporter.search.preparation import calibration_rows
from tests.exporter.search.mixed_target import MixedTarget


def corrected(found, evaluator, folder, **options):
    rows = calibration_rows(evaluator.encoded)[:16]
    options = {"seconds": 60, **options}
    return correct(found.prepared, MixedTarget(), rows, folder, "key", **options)


def test_what_takes_too_long_is_left_out(found, evaluator, tmp_path):
    times = iter(range(1000))
    assert corrected(found, evaluator, tmp_path, seconds=1, clock=lambda: next(times)) is None
    assert not list(tmp_path.iterdir())


def test_what_is_known_takes_no_time(found, evaluator, tmp_path):
    first = corrected(found, evaluator, tmp_path)
    again = corrected(found, evaluator, tmp_path, seconds=-1)
    assert first
    assert first.keys() == again.keys()
    for name, weight in first.items():
        assert (weight.values() == again[name].values()).all()
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("corrected-key-")


def test_other_smoothing_has_levels_of_its_own(found, evaluator, tmp_path):
    factors = np.exp2(np.arange(32) % 4).astype(np.float32)
    digests = set()
    for smoothing in ({}, {"layers.0.attention": factors}):
        prepared = dataclasses.replace(found.prepared, smoothing=smoothing)
        some = dataclasses.replace(found, prepared=prepared)
        for _ in range(2):
            digests.add(Mix({}, corrected=corrected(some, evaluator, tmp_path)).sha256)
    assert len(list(tmp_path.iterdir())) == 2
    assert len(digests) == 2


def test_levels_of_another_search_are_removed(tmp_path):
    for name in ("corrected-key-1.npz", "corrected-other-1.npz", "corrected-0123.npz", "report.md"):
        (tmp_path / name).touch()
    remove_old_levels(tmp_path, "key")
    assert {path.name for path in tmp_path.iterdir()} == {"corrected-key-1.npz", "report.md"}


def test_a_target_without_4_bits_has_nothing_to_correct(found, evaluator, tmp_path):
    rows = calibration_rows(evaluator.encoded)
    target = MixedTarget(methods=("int8_tensor", "fp32"))
    assert correct(found.prepared, target, rows, tmp_path, "key", seconds=60) == {}
