"""The app's benchmark writes runtime_bench's records, and sums them up as its report does."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from runtime_bench.comparison.compare import compare_results
from runtime_bench.comparison.verdicts import Verdict
from runtime_bench.plan import Plan, Settings, make_plan
from runtime_bench.records import BlockRecord
from runtime_bench.report.base import formats
from runtime_bench.runners import protocol
from tests.android_app.app_plans import (
    PACKAGE,
    PLAN_SCHEMA,
    RECORD_SCHEMA,
    Document,
    app_bundle,
    app_plan,
    checked_results,
    run_benchmark,
)
from tests.android_app.core_classes import run_program


@pytest.fixture
def tiny_plan(tmp_path: Path) -> Plan:
    """A subject of two artifacts and a baseline."""
    artifacts = [("onnx/model.onnx", "fp32", "optimized"), ("onnx/int8.onnx", "int8", "optimized")]
    return make_plan(
        [str(app_bundle(tmp_path / "subject", artifacts=artifacts))],
        baselines=[str(app_bundle(tmp_path / "baseline", family="bert", recipe="stock"))],
        lengths=[8, 32],
        threads=[1, 2],
        settings=Settings(blocks=6, most_blocks=8, seconds_per_block=0.05, starts=2, seed=3),
    )


def test_the_plan_of_a_run_is_valid(tiny_plan: Plan) -> None:
    document = app_plan(tiny_plan)
    jsonschema.validate(document, PLAN_SCHEMA)
    for entry in document["entries"]:
        jsonschema.validate(entry, {**RECORD_SCHEMA, "oneOf": [{"$ref": "#/$defs/entry"}]})
    for broken in _broken_plans(document):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, PLAN_SCHEMA)


def test_what_the_schema_rejects_the_app_refuses(tiny_plan: Plan, tmp_path: Path) -> None:
    document = app_plan(tiny_plan)
    valid = jsonschema.Draft202012Validator(PLAN_SCHEMA).is_valid
    broken = [changed for changed in _changed(document) if not valid(changed)]
    broken += _broken_plans(document)
    asked = tmp_path / "plans.json"
    asked.write_text(json.dumps([document, *broken]))
    found = json.loads(run_program(f"{PACKAGE}.PrintPlanProblems", [asked], memory="1g"))
    assert found[0] is None
    assert len(broken) > 500
    assert [plan for plan, problem in zip(broken, found[1:], strict=True) if not problem] == []


def _changed(value: Any) -> Iterator[Any]:
    """``value`` with each single thing in it missing, of another kind, or beside a surprise."""
    for other in (None, "../x", -1, 1.5, [], {}, True):
        if other != value:
            yield other
    if isinstance(value, dict):
        yield value | {"surprise": 1}
        for name, item in value.items():
            yield {key: kept for key, kept in value.items() if key != name}
            yield from (value | {name: other} for other in _changed(item))
    elif isinstance(value, list) and value:
        # The others are of the same kind.
        yield from ([other, *value[1:]] for other in _changed(value[0]))


def _broken_plans(document: Document) -> Iterator[Document]:
    for name in document:
        yield {key: value for key, value in document.items() if key != name}
    yield document | {"surprise": 1}
    yield document | {"bundles": {"e1": "../other"}}
    yield document | {"bundles": {"e1": "/data"}}
    yield document | {"settings": document["settings"] | {"cores": "big"}}
    yield document | {"inputs": {"e1": {"8": {"pixels": {}}}}}
    yield document | {"entries": []}
    yield json.loads(json.dumps(document).replace('"e1"', '"../e1"'))


def test_records_are_read_and_reported(tiny_plan: Plan, tmp_path: Path) -> None:
    path, rows = run_benchmark(app_plan(tiny_plan), tmp_path)
    results, content = checked_results(path)
    assert content.complete
    assert len(results.run.entries) == 3
    assert len(results.loads) == 6  # 3 entries, 2 thread counts
    assert len(results.starts) == 12
    assert not any(item.cold for item in results.starts)
    assert {(item.entry, item.reference) for item in results.checks} == {("e2", "e1")}
    assert all(item.cosine == pytest.approx(1) for item in results.checks)
    assert len(results.warm_ups) == 12
    assert all(item.steady for item in results.warm_ups)
    told = results.warm_ups[0].outputs["logits"]
    described = protocol.describe_outputs({"logits": np.array([[0.25, -1.5, 3.0]])})["logits"]
    assert told == described
    assert len(rows) == 12  # 3 entries, 4 cases
    for name, module in formats().items():
        page = module.render(content)
        assert "SqueezeBERT 2x16 ours int8" in page, name
        assert "GFLOP/s (peak)" not in page
        if name in ("markdown", "html"):
            assert "one process holds all" in page
            assert "lives in its own process" not in page
            assert "sleep between two inferences" in page
            assert "in steps of a millisecond" in page


def test_a_record_that_is_broken_is_found(tiny_plan: Plan, tmp_path: Path) -> None:
    path, _ = run_benchmark(app_plan(tiny_plan), tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for place, line in enumerate(lines[:40]):
        broken = {**line, "surprise": 1}
        path.write_text("".join(f"{json.dumps(item)}\n" for item in [*lines[:place], broken]))
        with pytest.raises(jsonschema.ValidationError):
            checked_results(path)


def test_the_summary_is_the_reports(tiny_plan: Plan, tmp_path: Path) -> None:
    path, rows = run_benchmark(app_plan(tiny_plan, pause_limit=30), tmp_path, 0, 4, 20)
    results, content = checked_results(path)
    assert results.slowdowns
    assert any(item.dropped for item in results.slowdowns)
    found = {(row["label"], row["length"], row["threads"]): row for row in rows}
    assert len(found) == 12
    compared = 0
    for case in content.cases:
        for row in case.rows:
            here = found[row.entry.label, case.length, case.threads]
            assert here["median"] == pytest.approx(row.wall.median * 1e6, abs=0.51)
            assert here["p90"] == pytest.approx(row.wall.p90 * 1e6, abs=0.51)
            assert here["samples"] == row.wall.samples
            assert here["failure"] is None
        for item in case.ladder:
            here = found[item.subject, case.length, case.threads]
            assert item.ratio.interval is not None
            assert here["value"] == pytest.approx(item.ratio.value, rel=1e-12)
            assert here["low"] == pytest.approx(item.ratio.interval.low, rel=1e-9)
            assert here["high"] == pytest.approx(item.ratio.interval.high, rel=1e-9)
            assert here["verdict"] == item.ratio.verdict
            compared += 1
    assert compared == 8


@pytest.mark.parametrize("inferences", [1, 700, 3000, 9000])
def test_a_run_that_was_cancelled_goes_on(tiny_plan: Plan, tmp_path: Path, inferences: int) -> None:
    document = app_plan(tiny_plan)
    path, _ = run_benchmark(document, tmp_path, inferences)
    results, content = checked_results(path)
    assert not content.complete
    with path.open("a") as stream:
        stream.write('{"schema": "squeezebert-rec')  # the process died in the middle of a line
    run_benchmark(document, tmp_path)
    results, content = checked_results(path)
    assert content.complete
    assert len(results.resumes) == 1
    assert len({(item.entry, item.threads, item.repeat) for item in results.starts}) == 12
    assert len(results.starts) == 12
    for case in content.cases:
        assert all(row.wall.blocks >= 6 for row in case.rows)


def test_slow_rounds_are_dropped_and_waited_for(tiny_plan: Plan, tmp_path: Path) -> None:
    path, _ = run_benchmark(app_plan(tiny_plan, pause_limit=30), tmp_path, 0, 4, 20)
    results, content = checked_results(path)
    assert content.complete
    assert results.dropped_blocks
    assert results.pauses
    assert "the fastest core ran 33% below" in results.slowdowns[0].reason
    before = results.blocks[0].before
    assert before is not None
    assert before["reference_ns"] == 5_000_000
    for module in formats().values():
        module.render(content)


def test_runs_are_compared_by_the_apps_own_product(tiny_plan: Plan, tmp_path: Path) -> None:
    document = app_plan(tiny_plan)
    (tmp_path / "again").mkdir()
    before, _ = checked_results(run_benchmark(document, tmp_path)[0])
    after, _ = checked_results(run_benchmark(document, tmp_path / "again")[0])
    same = compare_results(before, after)
    assert {change.verdict for change in same.changes} == {Verdict.SAME}
    slower = [_with_product(block, 6_000_000) for block in after.blocks]
    found = compare_results(before, replace(after, blocks=tuple(slower)))
    assert all("device itself became slower" in change.reason for change in found.changes)
    without = [_with_product(block, None) for block in after.blocks]
    found = compare_results(before, replace(after, blocks=tuple(without)))
    assert {change.verdict for change in found.changes} == {Verdict.INCOMPARABLE}


def _with_product(block: BlockRecord, nanoseconds: int | None) -> BlockRecord:
    assert block.before is not None
    rest = {name: value for name, value in block.before.items() if name != "reference_ns"}
    product = {} if nanoseconds is None else {"reference_ns": nanoseconds}
    return replace(block, before=rest | product)


def test_rounds_go_forward_and_back_alike(tiny_plan: Plan, tmp_path: Path) -> None:
    path, _ = run_benchmark(app_plan(tiny_plan), tmp_path)
    results, _ = checked_results(path)
    places: dict[tuple[str, int, int], list[int]] = {}
    for block in results.blocks:
        places.setdefault((block.entry, block.length, block.threads), []).append(block.position)
    assert len(places) == 12
    for found in places.values():
        assert np.mean(found) == 1


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"layers": 12, "hidden_size": 768, "intermediate_size": 3072},
        {"task": "masked-lm", "vocab_size": 30522},
        {"task": "token-classification", "layers": 12, "hidden_size": 768},
        {"task": "question-answering", "trained": True},
        {"task": "feature-extraction", "source_hash": None},
    ],
)
def test_the_screens_plan_is_what_python_would_plan(tmp_path: Path, model: Document) -> None:
    artifacts = [
        ("onnx/model.onnx", "fp32", "optimized"),
        ("onnx/other.onnx", "fp32", "optimized"),
        ("onnx/int8.onnx", "int8", "optimized"),
        ("onnx/half.onnx", "fp16", "small"),
        ("executorch/model.pte", "int8", "optimized"),
    ]
    accuracy = {"accuracy": 0.5}
    stock = [("onnx/model.onnx", "fp32", "stock"), ("onnx/int8.onnx", "int8", "stock")]
    folders = [
        app_bundle(tmp_path / "subject", artifacts=artifacts, model=model, accuracy=accuracy),
        app_bundle(tmp_path / "one", family="bert", recipe="stock", artifacts=stock, model=model),
        app_bundle(
            tmp_path / "two", family="bert", recipe="stock", source="random:other", model=model
        ),
    ]
    expected = app_plan(
        make_plan(
            [str(folders[0])],
            baselines=[str(folder) for folder in folders[1:]],
            lengths=[8, 32],
            threads=[2],
            settings=Settings(seed=3),
            targets={"onnx", "executorch"},
        )
    )
    printed = json.loads(run_program(f"{PACKAGE}.PrintScreenPlan", ["8,32", *folders]))
    jsonschema.validate(printed, PLAN_SCHEMA)
    for member in ("entries", "lengths", "threads", "settings"):
        assert printed[member] == expected[member]
    for entry, lengths in expected["inputs"].items():
        for length, inputs in lengths.items():
            here = printed["inputs"][entry][length]
            assert here["input_ids"] == inputs["input_ids"]
            assert set(here["attention_mask"]["values"]) == {1}
            assert set(here["token_type_ids"]["values"]) == {0}
    assert list(printed["tolerances"].values()) == [1e-4, 1e-4, 0.2, 1e-4, 0.2, 1e-4, 0.2, 1e-4]
    assert printed["expected"] == {}
    labels = [entry["label"] for entry in printed["entries"]]
    assert len(set(labels)) == len(labels) == 8
