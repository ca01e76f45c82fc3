"""ExecuTorch programs beside ONNX models: lengths, buckets, threads, and every way to be wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tiny_programs import BOUND, Tiny, tiny_program

from runtime_bench import cli
from runtime_bench.devices.host import Host
from runtime_bench.errors import RunnerError
from runtime_bench.results import read_results
from runtime_bench.runners.client import LocalRunner
from runtime_bench.runners.executorch_log import explain
from runtime_bench.runners.executorch_program import Interface, ProgramModel

MakeBundle = Callable[..., Path]
LIMIT = 120.0
PATH = "executorch/model.pte"


def inputs(length: int, batch: int = 1, dtype: str = "int64") -> dict[str, Any]:
    ids = np.arange(batch * length, dtype=dtype).reshape(batch, length) % 50
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def expected(given: dict[str, Any], pooled: bool) -> Any:
    model = Tiny(pooled)
    hidden = model.embedding.numpy()[given["input_ids"]] * given["attention_mask"][..., None]
    return (hidden.mean(1) if pooled else hidden) @ model.classifier.numpy().T


@pytest.fixture(scope="session")
def opened(tiny_pte: bytes, tmp_path_factory: pytest.TempPathFactory) -> ProgramModel:
    path = tmp_path_factory.mktemp("opened") / "model.pte"
    path.write_bytes(tiny_pte)
    return ProgramModel(path, 1)


@pytest.mark.parametrize("length", [5, BOUND, 1])
def test_a_program_takes_every_length_up_to_its_bound(opened: ProgramModel, length: int) -> None:
    given = inputs(length)
    assert np.allclose(opened.run(given)["logits"], expected(given, pooled=True), atol=1e-5)


def test_buckets_pad_and_cut_back(tmp_path: Path) -> None:
    path = tmp_path / "model_buckets.pte"
    path.write_bytes(tiny_program(pooled=False, buckets=(4, 8)))
    model = ProgramModel(path, 1)
    for length in (3, 4, 5, 8):
        given = inputs(length)
        found = model.run(given)["logits"]
        assert np.allclose(found, expected(given, pooled=False), atol=1e-5)
    with pytest.raises(RunnerError, match="9 tokens are too many: the program takes 1 to 8"):
        model.run(inputs(9))


def test_an_output_without_tokens_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "model_buckets.pte"
    # As many labels as the bucket has tokens.
    path.write_bytes(tiny_program(buckets=(3,)))
    given = inputs(2)
    # The mean is over the padded bucket.
    scaled = expected(given, pooled=True) * 2 / 3
    assert np.allclose(ProgramModel(path, 1).run(given)["logits"], scaled, atol=1e-5)


def test_the_smallest_bucket_that_is_long_enough_is_chosen() -> None:
    found = Interface(("input_ids",), ("logits",), 512, (32, 64, 128), by_token=True)
    chosen = {length: found.method(length)[0] for length in (1, 32, 33, 128)}
    assert chosen == {1: "forward_32", 32: "forward_32", 33: "forward_64", 128: "forward_128"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (inputs(0), "0 tokens are too few: the program takes 1 to 64"),
        (inputs(65), "65 tokens are too many: the program takes 1 to 64"),
        (inputs(5, batch=2), r"one text at a time.*\(2, 5\)"),
        (inputs(5, dtype="int32"), r"input_ids is int32; model.pte takes int64. Convert it"),
        ({"input_ids": inputs(5)["input_ids"]}, "attention_mask is not given"),
        (
            {**inputs(5), "attention_mask": np.ones((1, 4), np.int64)},
            r"attention_mask \(1, 4\)",
        ),
        ({**inputs(5), "input_ids": np.full((1, 5), 50)}, "The index 50 is outside an embedding"),
    ],
)
def test_inputs_that_it_does_not_take(
    opened: ProgramModel, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunnerError, match=message):
        opened.run(given)
    # It lives on.
    assert opened.run(inputs(5))["logits"].shape == (1, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[: len(content) // 2], "model.pte is cut off"),
        (lambda content: content[:8], "model.pte is cut off"),
        (lambda _: b"", "model.pte is cut off"),
        (lambda _: b"hello world " * 100, "model.pte is not an ExecuTorch program"),
        (
            lambda content: content[:4] + b"ET11" + content[8:],
            "another version of ExecuTorch: its format is ET11, this one reads ET12",
        ),
        (
            lambda content: content.replace(b"XnnpackBackend", b"NowhereBackend"),
            r"needs the backend NowhereBackend, which this.*Install",
        ),
        (
            lambda content: content.replace(b"aten::embedding", b"aten::embeddinx"),
            r"needs the operator aten::embeddinx.out, which no kernel library.*Install",
        ),
        (
            lambda content: content.replace(b"XH00", b"XH99"),
            "another version of the XNNPACK backend",
        ),
    ],
)
def test_files_that_do_not_open(
    tiny_pte: bytes,
    tmp_path: Path,
    change: Callable[[bytes], bytes],
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(change(tiny_pte))
    with pytest.raises(RunnerError, match=message):
        ProgramModel(path, 1)
    # Its log went into the message, not to the screen.
    assert ".cpp:" not in capfd.readouterr().err


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match=r"none\.pte cannot be opened: No such file"):
        ProgramModel(tmp_path / "none.pte", 1)


def test_a_program_that_does_not_say_what_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(tiny_program(named=False))
    with pytest.raises(RunnerError, match="has no constant method input_names"):
        ProgramModel(path, 1)


def test_a_log_that_no_rule_knows_is_given_in_its_own_words() -> None:
    log = "[cpuinfo_utils.cpp:71] Reading file /sys\n[op_x.cpp:3] The moon is full.\n"
    error = explain(Path("a/model.pte"), log, RuntimeError("error: 0x1"))
    assert error.message == "ExecuTorch failed on model.pte: error: 0x1 (The moon is full)."


def test_a_runner_starts_the_threads_that_were_asked_for(
    make_bundle: MakeBundle, tiny_pte: bytes
) -> None:
    bundle = make_bundle(artifacts=[(PATH, "fp32", "optimized")], contents={PATH: tiny_pte})
    started = {}
    for threads in (1, 3):
        runner = Host().start("executorch", LIMIT)
        assert isinstance(runner, LocalRunner)
        try:
            assert set(runner.versions) >= {"executorch"}
            before = psutil.Process(runner.process_id).num_threads()
            command = {"command": "load", "model": Host().stage(bundle, PATH, []), "threads": 0}
            runner.request({**command, "threads": threads}, LIMIT)
            started[threads] = psutil.Process(runner.process_id).num_threads() - before
            if threads == 1:
                with pytest.raises(RunnerError, match=r"none.pte cannot be opened.*Build it again"):
                    runner.request({**command, "model": "none.pte", "threads": 1}, LIMIT)
        finally:
            runner.close()
    # The calling thread computes too.
    assert started[3] - started[1] == 2


def test_one_plan_measures_both_runtimes_and_compares_their_outputs(
    make_bundle: MakeBundle,
    tiny_pte: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The second program computes something else: the comparison sees it.
    changed = tiny_program(pooled=False)
    artifacts = [
        ("onnx/model.onnx", "fp32", "optimized"),
        (PATH, "fp32", "optimized"),
        ("executorch/model_int8.pte", "int8", "optimized"),
    ]
    contents = {PATH: tiny_pte, "executorch/model_int8.pte": changed}
    bundle = make_bundle("ours", artifacts=artifacts, contents=contents)
    out = tmp_path / "results.jsonl"
    quick = ["--lengths", "8", "--blocks", "2", "--seconds-per-block", "0.01"]
    command = ["run", str(bundle), *quick, "--threads", "1,2", "--out", str(out), "--json"]
    assert cli.main(command) == 0
    rows = json.loads(capsys.readouterr().out)["cases"]
    assert len(rows) == 2
    found = read_results(out)
    assert {(block.entry, block.threads) for block in found.blocks} == {
        (entry, threads) for entry in ("e1", "e2", "e3", "peak") for threads in (1, 2)
    }
    cosines = {(check.entry, check.reference): check.cosine for check in found.checks}
    assert cosines["e2", "e1"] == pytest.approx(1.0, abs=1e-6)
    assert cosines["e3", "e1"] is None  # another shape
    versions = {load.entry: load.versions for load in found.loads}
    assert "executorch" in versions["e2"]
    assert "onnxruntime" in versions["e1"]
