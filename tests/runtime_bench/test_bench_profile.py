"""Profiles: kinds by name, nothing dropped, and the command on both runtimes."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from runtime_bench import cli
from runtime_bench.plan import Case, Plan
from runtime_bench.profiling.document import document, render
from runtime_bench.profiling.kinds import Kind, kind_of
from runtime_bench.profiling.profile import Profile, ProfileFailure, summarised
from runtime_bench.runners import executorch_profiler, onnx_profiler

MakeBundle = Callable[..., Path]
PTE = "executorch/model.pte"
CASE = Case(128, 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Fully Connected (NC, QDU8, F32, QC8W) GEMM", Kind.WEIGHT_PRODUCTS),
        ("Convolution (NHWC, F32) IGEMM", Kind.WEIGHT_PRODUCTS),
        ("Batch Matrix Multiply (NC, F32) GEMM", Kind.ATTENTION_PRODUCTS),
        ("Dynamic Fully Connected (NC, F32)", Kind.ATTENTION_PRODUCTS),
        ("GELU (NC)", Kind.ACTIVATION),
        ("Softmax (NC, F32)", Kind.SOFTMAX),
        ("Convert (NC, F32, QD8)", Kind.QUANTIZATION),
        ("Transpose (ND, X32)", Kind.LAYOUT),
        ("Square (NC)", Kind.ELEMENTWISE),
        ("native_call_native_layer_norm.out", Kind.NORMALIZATION),
        ("native_call_embedding_byte.dtype_out", Kind.EMBEDDINGS),
        ("native_call_quantized_decomposed::embedding_byte.dtype_out", Kind.EMBEDDINGS),
        ("native_call_addmm.out", Kind.WEIGHT_PRODUCTS),
        ("native_call_bmm.out", Kind.ATTENTION_PRODUCTS),
        ("native_call__softmax.out", Kind.SOFTMAX),
        ("native_call_select_copy.int_out", Kind.LAYOUT),
        ("native_call_add.Scalar_out", Kind.ELEMENTWISE),
        # No part of a name is taken for the whole of it.
        ("native_call_add_rms_norm.out", Kind.OTHER),
        ("Add Something (NC)", Kind.OTHER),
        ("MatMul", Kind.OTHER),
    ],
)
def test_kinds_of_executorch(name: str, kind: Kind) -> None:
    assert kind_of("executorch", name) is kind


@pytest.mark.parametrize(
    ("name", "shapes", "parameters", "kind"),
    [
        # A constant that was packed is gone from the list.
        ("MatMul", [{"float": [1, 128, 64]}], 0, Kind.WEIGHT_PRODUCTS),
        ("MatMul", [{"float": [1, 128, 64]}, {"float": [64, 8]}], 2048, Kind.WEIGHT_PRODUCTS),
        (
            "MatMul",
            [{"float": [1, 12, 8, 4]}, {"float": [1, 12, 4, 8]}],
            0,
            Kind.ATTENTION_PRODUCTS,
        ),
        (
            "FusedMatMul",
            [{"float": [1, 12, 8, 4]}, {"float": [1, 12, 4, 8]}],
            0,
            Kind.ATTENTION_PRODUCTS,
        ),
        ("MatMulIntegerToFloat", [{"uint8": [1, 8, 4]}, {"float": []}], 8, Kind.WEIGHT_PRODUCTS),
        ("Gather", [{"float": [50, 16]}, {"int64": [1, 8]}], 3200, Kind.EMBEDDINGS),
        ("Gather", [{"float": [1, 8, 16]}, {"int64": []}], 8, Kind.LAYOUT),
        ("Gather", [{"int64": [2]}, {"int64": []}], 8, Kind.LAYOUT),
        ("Attention", [{"float": [1, 8, 16]}], 0, Kind.FUSED_ATTENTION),
        ("DynamicQuantizeLinear", [{"float": [1, 8, 16]}], 0, Kind.QUANTIZATION),
        ("SkipLayerNormalization", [{"float": [1, 8, 16]}], 0, Kind.NORMALIZATION),
        ("Mystery", [{"float": [1, 8, 16]}], 0, Kind.OTHER),
    ],
)
def test_kinds_of_onnx_runtime(
    name: str, shapes: list[Mapping[str, Any]], parameters: int, kind: Kind
) -> None:
    node = {"op_name": name, "input_type_shape": shapes, "parameter_size": str(parameters)}
    assert kind_of("onnx", onnx_profiler.operator_name(node)) is kind


def node(name: str, start: int, duration: int) -> dict[str, Any]:
    arguments = {"op_name": name, "input_type_shape": [{"float": [1, 2]}], "parameter_size": "0"}
    return {"name": f"{name}_kernel_time", "ts": start, "dur": duration, "args": arguments}


def test_events_of_onnx_runtime_are_sorted_into_their_runs() -> None:
    events = [
        {"name": "session_initialization", "ts": 0, "dur": 9},
        {"name": "model_run", "ts": 100, "dur": 50},
        {"name": "SequentialExecutor::Execute", "ts": 101, "dur": 48},
        {"name": "model_run", "ts": 10, "dur": 50},
        node("Gelu", 110, 4),
        node("Add", 20, 3),
        node("Gelu", 12, 5),
        node("Gelu", 30, 6),
    ]
    first, second = onnx_profiler.traced_runs(events)
    assert first.whole_ns == 50_000
    assert first.operators == {"Gelu": (2, 11_000), "Add": (1, 3_000)}
    assert second.operators == {"Gelu": (1, 4_000)}
    assert first.unreported_ns is None


EVENTS = [
    ("native_call_embedding.out", [10.0, 11.0]),
    ("OPERATOR_CALL", [12.0, 13.0]),
    ("GELU (NC) #1", [3.0, 4.0]),
    ("GELU (NC) #2", [5.0, 6.0]),
    ("DELEGATE_CALL", [20.0, 22.0]),
    ("Method::execute", [40.0, 44.0]),
]


def test_events_of_executorch_that_hold_others_are_not_counted_twice() -> None:
    first, second = executorch_profiler.traced_runs(EVENTS)
    assert first.operators == {"native_call_embedding.out": (1, 10.0), "GELU (NC)": (2, 8.0)}
    assert (first.whole_ns, first.unreported_ns) == (40.0, 12.0)
    assert (second.whole_ns, second.unreported_ns) == (44.0, 12.0)


@pytest.mark.parametrize(
    "events", [EVENTS[:-1], [*EVENTS, EVENTS[-1]], [*EVENTS, ("Softmax (NC)", [1.0])]]
)
def test_a_profile_whose_runs_differ_is_refused(events: list[Any]) -> None:
    with pytest.raises(RuntimeError, match="differ in their operators"):
        executorch_profiler.traced_runs(events)


def profile(plan: Plan, operators: Mapping[str, float], unreported: float | None) -> Profile:
    """Of runs of 10 ms with ``operators`` in ms, and one that was held up."""
    run = {
        "whole_ns": 10e6,
        "operators": {name: [2, ms * 1e6] for name, ms in operators.items()},
        "unreported_ns": None if unreported is None else unreported * 1e6,
    }
    slow = {**run, "whole_ns": 90e6}
    answer = {"unprofiled_ns": [8e6, 9e6, 50e6], "runs": [run, slow, run, run]}
    return summarised(plan.entries[0], answer, {})


def test_the_kinds_add_up_to_the_whole(two_entries: Plan) -> None:
    found = profile(two_entries, {"MatMul": 6.0, "Gelu": 1.0, "Attention": 1.5}, 0.5)
    assert found.whole_ms == pytest.approx(10)
    assert sum(found.kinds.values()) == pytest.approx(found.whole_ms)
    assert found.kinds[Kind.DELEGATE] == pytest.approx(0.5)
    assert found.kinds[Kind.OVERHEAD] == pytest.approx(1.0)
    assert found.unprofiled_ms == 9
    assert found.shares_without_products() == pytest.approx((0.25, 0.4))


def test_an_unknown_operator_is_other_and_named(two_entries: Plan) -> None:
    known = profile(two_entries, {"MatMul": 6.0, "Gelu": 1.0}, None)
    unknown = profile(two_entries, {"MatMul": 6.0, "Mystery": 1.0}, None)
    assert not known.unknown()
    assert known.kinds[Kind.OTHER] == 0
    assert unknown.kinds[Kind.OTHER] == pytest.approx(1.0)
    # It is neither dropped nor hidden in the overhead.
    assert unknown.kinds[Kind.OVERHEAD] == pytest.approx(known.kinds[Kind.OVERHEAD])
    assert "Mystery" not in render([known], [], CASE, 4)
    assert f"Other in {unknown.entry.label}: Mystery" in render([unknown], [], CASE, 4)
    (artifact,) = document([unknown], [], CASE, 4)["artifacts"]
    assert artifact["other"] == ["Mystery"]
    names = {operator["name"]: operator for operator in artifact["operators"]}
    assert names["Mystery"] == {"name": "Mystery", "kind": "other", "count": 2, "ms": 1.0}


def test_notes_say_only_what_concerns_the_columns(two_entries: Plan) -> None:
    plain = render([profile(two_entries, {"MatMul": 6.0}, None)], [], CASE, 4)
    assert "no latency measurement" in plain
    assert "XNNPACK" not in plain
    assert "40 %" in plain
    fused = render([profile(two_entries, {"MatMul": 6.0, "Attention": 2.0}, None)], [], CASE, 4)
    assert "20 to 40 %" in fused
    failed = render([], [ProfileFailure(two_entries.entries[0], "It broke. Mend it.")], CASE, 4)
    assert failed == f"Failed: {two_entries.entries[0].label}: It broke. Mend it."


def test_the_command_on_both_runtimes_with_one_broken_file(
    make_bundle: MakeBundle,
    tiny_pte: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cut = "executorch/model_int8.pte"
    artifacts = [("onnx/model.onnx", "fp32", "x"), (PTE, "fp32", "x"), (cut, "int8", "x")]
    bundle = make_bundle(artifacts=artifacts, contents={PTE: tiny_pte, cut: tiny_pte[:500]})
    out = tmp_path / "new" / "profile.json"
    command = ["profile", str(bundle), "--length", "8", "--runs", "4", "--out", str(out)]
    assert cli.main([*command, "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    assert "is cut off" in printed["failures"][0]["reason"]
    by_target = {artifact["target"]: artifact for artifact in printed["artifacts"]}
    assert set(by_target) == {"onnx", "executorch"}
    for artifact in by_target.values():
        kinds = {item["kind"]: item["ms"] for item in artifact["kinds"]}
        assert sum(kinds.values()) == pytest.approx(artifact["whole_ms"])
        assert artifact["other"] == []
        assert kinds[Kind.EMBEDDINGS] > 0
        assert artifact["unprofiled_median_ms"] > 0
    counts = {
        target: {item["name"]: item["count"] for item in artifact["operators"]}
        for target, artifact in by_target.items()
    }
    assert counts["onnx"]["Gather"] == 1
    assert counts["executorch"]["native_call_embedding.out"] == 1
    assert any(name.startswith("Fully Connected") for name in counts["executorch"])


@pytest.mark.parametrize("option", ["--length", "--threads", "--runs"])
def test_numbers_below_one_are_refused(
    make_bundle: MakeBundle, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["profile", str(make_bundle()), option, "0"]) == 2
    assert f"{option} needs a whole number above zero" in capsys.readouterr().err
