"""The range report finds the largest values, and the first that is not finite."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written_packages import write_package

from exporter.targets.base import Array
from exporter.targets.coreml.interpreter import (
    Package,
    open_package,
    range_report,
    render_ranges,
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """x, 100 x, then 10000 x ** 2, its square root; and 2 x in fp32."""

    def build(mb: Any, x: Any) -> Any:
        numbers = mb.cast(x=x, dtype="fp16", name="numbers")
        large = mb.mul(x=numbers, y=np.float16(100), name="large")
        square = mb.mul(x=large, y=large, name="square")
        root = mb.sqrt(x=square, name="root")
        wide = mb.cast(x=root, dtype="fp32", name="wide")
        return mb.mul(x=wide, y=np.float32(2), name="twice")

    path = tmp_path_factory.mktemp("ranges") / "a.mlpackage"
    return open_package(write_package(path, build, "iOS17"))


def _batch(*numbers: int) -> dict[str, Array]:
    return {"x": np.array([numbers], np.int32)}


def test_the_largest_of_all_runs(package: Package) -> None:
    """Not of the last one; below 0 as well as above."""
    report = range_report(package, [_batch(1, -2, 0, 1), _batch(0, 1, 0, 1)])
    assert report.runs == 2
    found = {value.name: value.largest for value in report.values}
    assert found == {
        "numbers": 2,
        "large": 200,
        "square": 40000,
        "root": 200,
        "wide": 200,
        "twice": 400,
    }
    assert [value.name for value in report.values] == list(found)
    assert report.first_not_finite is None
    assert report.headroom == pytest.approx(65504 / 40000)
    text = render_ranges(report)
    assert "2 runs, 6 values" in text
    assert "1.64 times as large" in text
    assert text.splitlines()[1].split() == ["square", "mul", "4e+04", "61.1%"]


def test_fp32_values_have_no_share_in_the_headroom(package: Package) -> None:
    report = range_report(package, [_batch(0, 0, 0, 0)])
    assert report.headroom == float("inf")
    assert report.as_dict()["headroom"] is None
    wide = [value for value in report.values if value.dtype == "float32"]
    assert [value.name for value in wide] == ["wide", "twice"]


def test_the_first_value_that_is_not_finite(package: Package) -> None:
    report = range_report(package, [_batch(1, 2, 0, 1), _batch(1, 3, 0, 1), _batch(0, 0, 0, 0)])
    first = report.first_not_finite
    assert first is not None
    assert (first.name, first.kind, first.largest) == ("square", "mul", 40000)
    assert "of main (square)" in first.place
    assert report.headroom == 0
    assert [value.name for value in report.values if not value.finite] == [
        "square",
        "root",
        "wide",
        "twice",
    ]
    text = render_ranges(report, rows=2)
    assert text.splitlines()[0] == f"not finite first: square, mul, {first.place}"
    assert len(text.splitlines()) == 3
    assert "not finite" in text.splitlines()[1]


def test_a_value_that_is_never_finite(tmp_path: Path) -> None:
    def build(mb: Any, x: Any) -> Any:
        numbers = mb.cast(x=x, dtype="fp32", name="numbers")
        return mb.real_div(x=numbers, y=np.float32(0), name="nowhere")

    path = write_package(tmp_path / "a.mlpackage", build, "iOS17")
    report = range_report(open_package(path), [_batch(1, 0, -1, 0)])
    first = report.first_not_finite
    assert first is not None
    assert (first.name, first.largest) == ("nowhere", 0)


def test_the_report_is_json(package: Package) -> None:
    report = range_report(package, [_batch(1, 3, 0, 1)])
    found = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert found["first_not_finite"]["name"] == "square"
    assert found["values"][0] == {
        "name": "numbers",
        "kind": "cast",
        "place": report.values[0].place,
        "dtype": "float16",
        "largest": 3.0,
        "finite": True,
    }


def test_one_run_is_one_run(package: Package) -> None:
    one, two = [_batch(1, 2, 0, 1)], [_batch(1, 2, 0, 1), _batch(0, 0, 0, 0)]
    assert render_ranges(range_report(package, one)).startswith("1 run, ")
    assert render_ranges(range_report(package, two)).startswith("2 runs, ")
