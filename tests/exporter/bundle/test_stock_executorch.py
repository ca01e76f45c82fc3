"""Stock exports for ExecuTorch: they run at every length, and say what stayed fp32."""

import errno
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from tiny_checkpoint import LABELS, write_checkpoint

import exporter
from exporter.baselines import build_baseline, stock_executorch
from exporter.baselines.base import KeptWeights
from exporter.baselines.stock_executorch import (
    FP32_PATH,
    INT8_PATH,
    SDPA_PATH,
    PteSession,
    export_stock,
    quantize_stock,
)
from exporter.checkpoint import load
from exporter.cli import main
from exporter.errors import CheckFailed, UserError
from exporter.manifest_file import read_manifest
from exporter.model.reference import reference_outputs, transformers_model
from exporter.quiet import without_native_errors
from exporter.recheck import verify
from exporter.targets.base import INPUTS, OUTPUTS

SCHEMA = Path(exporter.__file__).parent / "schema" / "manifest.schema.json"
POSITIONS = 16


class Notes:
    """A progress that keeps its notes."""

    def __init__(self):
        self.texts = []

    @contextmanager
    def step(self, _):
        yield lambda _: None

    def note(self, text):
        self.texts.append(text)


def make(folder, **options):
    """A stock bundle for ExecuTorch of one layer; returns its folder and the notes."""
    source = write_checkpoint(folder / "source", layers=1, positions=POSITIONS, **options)
    notes = Notes()
    build_baseline(str(source), folder / "out", targets=["executorch"], progress=notes)
    return folder / "out", notes.texts


@pytest.fixture(scope="module")
def squeezebert(tmp_path_factory):
    """Of a classifier, with a label beyond ASCII."""
    return make(tmp_path_factory.mktemp("squeezebert"), labels=("größer", *LABELS[1:]))


def inputs(length):
    ids = np.random.default_rng(length).integers(5, 16, (1, length))
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }


def check_bundle(out):
    """A valid bundle whose artifacts run at every length and say how far they are from PyTorch."""
    jsonschema.validate(
        json.loads((out / "manifest.json").read_text()), json.loads(SCHEMA.read_text())
    )
    assert verify(out).passed
    manifest = read_manifest(out)
    for artifact in manifest.artifacts:
        assert artifact.target == "executorch"
        declared = [(t.name, t.dtype, t.shape) for t in artifact.inputs]
        assert declared == [(name, "int64", (1, "sequence")) for name in INPUTS]
        session = PteSession(out / artifact.path, manifest.model.task)
        for length in (1, 2, POSITIONS):
            values = session.run(inputs(length))
            shapes = [[1, *t.shape[1:]] for t in artifact.outputs]
            shapes = [tuple(length if size == "sequence" else size for size in s) for s in shapes]
            assert [v.shape for v in values.values()] == shapes
            assert list(values) == [t.name for t in artifact.outputs]
        with pytest.raises(RuntimeError):
            session.run(inputs(POSITIONS + 1))

    *floats, int8 = (artifact.verification["checks"][0] for artifact in manifest.artifacts)
    assert all(check["measured"]["max_abs_diff"] < 1e-4 for check in floats)
    assert not any("weights" in check["measured"] for check in floats)
    assert int8["measured"]["max_abs_diff"] > 1e-3
    assert int8["measured"]["centred_cosine"] > 0.9
    assert int8["tolerance"] is None
    return [(a.path, a.precision, a.flavour) for a in manifest.artifacts]


def test_a_bundle_of_squeezebert(squeezebert):
    out, notes = squeezebert
    assert check_bundle(out) == [(FP32_PATH, "fp32", "stock"), (INT8_PATH, "int8", "stock")]
    assert notes == [
        f"{SDPA_PATH}: skipped, SqueezeBertForSequenceClassification knows only its own attention"
    ]
    (logits,) = read_manifest(out).artifacts[0].outputs
    assert (logits.name, logits.dtype, logits.shape) == ("logits", "float32", (1, 3))


@pytest.mark.slow
def test_a_bundle_of_bert(tmp_path):
    """Of a model with two outputs."""
    out, notes = make(tmp_path, family="bert", task="question-answering", labels=None)
    assert check_bundle(out) == [
        (FP32_PATH, "fp32", "stock"),
        (SDPA_PATH, "fp32", "stock-sdpa"),
        (INT8_PATH, "int8", "stock"),
    ]
    assert notes == []
    for artifact in read_manifest(out).artifacts:
        names = [(t.name, t.shape) for t in artifact.outputs]
        assert names == [(name, (1, "sequence")) for name in ("start_logits", "end_logits")]


def test_the_recipe_leaves_convolutions_fp32_and_the_check_says_so(squeezebert):
    check = read_manifest(squeezebert[0]).artifact(INT8_PATH).verification["checks"][0]
    assert check["detail"].endswith("; 9 of 11 weights stayed fp32")
    assert (check["measured"]["fp32_weights"], check["measured"]["weights"]) == (9, 11)


@pytest.mark.parametrize(("family", "kept"), [("squeezebert", 9), ("bert", 3)])
def test_the_weights_that_stay_fp32_are_counted(family, kept, tmp_path):
    """Three tables in both, in SqueezeBERT the layer's six convolutions too."""
    checkpoint = load(str(write_checkpoint(tmp_path, family=family, layers=1)))
    program = export_stock(transformers_model(checkpoint.model), checkpoint)
    program, found = quantize_stock(program, checkpoint)
    assert found == KeptWeights(count=kept, total=11)
    stored = [tensor.dtype for tensor in program.state_dict.values()]
    assert stored.count(torch.int8) == 11 - kept


def test_artifacts_say_what_they_are(squeezebert):
    out, _ = squeezebert
    session = PteSession(out / INT8_PATH, "sequence-classification")

    def constant(name):
        return session._module.run_method(name, ())[0]

    manifest = read_manifest(out)
    assert constant("task") == "sequence-classification"
    assert (constant("precision"), constant("flavour")) == ("int8", "stock")
    assert json.loads(constant("labels")) == ["größer", "middle", "high"]
    assert constant("source_hash") == manifest.model.source_hash
    assert constant("tokenizer_hash") == manifest.tokenizer.hash
    assert json.loads(constant("input_names")) == list(INPUTS)
    assert json.loads(constant("output_names")) == ["logits"]
    assert constant("max_positions") == POSITIONS
    assert constant("max_length") == manifest.model.max_length
    assert json.loads(constant("versions")) == manifest.versions


@pytest.mark.parametrize("family", ["squeezebert", "bert"])
@pytest.mark.parametrize("task", sorted(OUTPUTS))
def test_every_task_exports_with_its_outputs(family, task, tmp_path):
    labels = LABELS if task.endswith("classification") else None
    source = write_checkpoint(
        tmp_path, family=family, task=task, labels=labels, layers=1, positions=POSITIONS
    )
    checkpoint = load(str(source))
    module = transformers_model(checkpoint.model)
    program = export_stock(module, checkpoint).module()
    for length in (1, POSITIONS):
        feed = [torch.from_numpy(values) for values in inputs(length).values()]
        feed[1][:, length // 2 + 1 :] = 0
        expected, _ = reference_outputs(module, *feed)
        found = program(*feed)
        assert len(found) == len(OUTPUTS[task])
        for name, values in zip(OUTPUTS[task], found, strict=True):
            torch.testing.assert_close(values, expected[name])


def test_sdpa_is_sdpa_and_only_there(tmp_path, monkeypatch):
    """The reference, and the exports after it, compute attention eagerly again."""
    fused = torch.ops.aten.scaled_dot_product_attention.default
    found = {}

    def record(program, path, constants):
        targets = {node.target for node in program.graph.nodes}
        found[constants["precision"], constants["flavour"]] = fused in targets
        path.write_bytes(b"")

    class Same:
        inputs = outputs = ()

        def __init__(self, *_):
            pass

        def run(self, feed):
            names = OUTPUTS["sequence-classification"]
            return {name: np.zeros((len(feed["input_ids"]), 3)) for name in names}

    monkeypatch.setattr(stock_executorch, "lower_stock", record)
    monkeypatch.setattr(stock_executorch, "PteSession", Same)
    make(tmp_path, family="bert")
    assert found == {
        ("fp32", "stock"): False,
        ("fp32", "stock-sdpa"): True,
        ("int8", "stock"): False,
    }


def test_only_additions_of_integer_zero_are_removed():
    class Sums(torch.nn.Module):
        def forward(self, whole, real):
            return whole + 0, whole + 1, real + 0

    example = (torch.arange(3), torch.ones(3))
    graph = torch.export.export(Sums(), example).module()
    stock_executorch._remove_additions_of_zero(graph)
    additions = [n for n in graph.graph.nodes if n.target is torch.ops.aten.add.Tensor]
    assert len(additions) == 2
    for found, expected in zip(graph(*example), Sums()(*example), strict=True):
        torch.testing.assert_close(found, expected)


def test_targets_share_a_bundle(squeezebert, tmp_path):
    """The artifacts of another target stay, and are not made again."""
    out = shutil.copytree(squeezebert[0], tmp_path / "out")
    before = read_manifest(out).artifacts
    source = squeezebert[0].parent / "source"
    manifest = build_baseline(str(source), out, targets=["onnx"])
    assert manifest.artifacts[: len(before)] == before
    assert [a.target for a in manifest.artifacts] == ["executorch"] * 2 + ["onnx"] * 2
    assert verify(out).passed


def test_a_lowering_that_fails_is_one_line(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("Missing out variants: {'a::b'}\nmany\nmore lines")

    monkeypatch.setattr(stock_executorch, "lower_stock", fail)
    with pytest.raises(
        CheckFailed, match=r"to_edge_transform_and_lower cannot make the stock fp32 export: Missing"
    ) as caught:
        make(tmp_path)
    assert "\n" not in str(caught.value)
    assert read_manifest(tmp_path / "out").artifacts == ()


def test_an_artifact_that_does_not_run_is_a_failed_check(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(
        stock_executorch, "lower_stock", lambda _, path, __: path.write_bytes(b"no" * 100)
    )
    with pytest.raises(CheckFailed, match="ExecuTorch cannot run the stock fp32 export"):
        make(tmp_path)
    assert read_manifest(tmp_path / "out").artifacts == ()
    assert not (tmp_path / "out" / FP32_PATH).exists()
    assert "program.cpp" not in capfd.readouterr().err


def test_a_full_disk_is_no_failed_check(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stock_executorch, "lower_stock", fail)
    with pytest.raises(UserError, match="No space is left"):
        make(tmp_path)


def test_native_messages_are_kept_away_and_come_back(capfd):
    with without_native_errors():
        os.write(2, b"reading soc0")
    os.write(2, b"own words")
    assert capfd.readouterr().err == "own words"


@pytest.mark.slow
def test_the_command(tmp_path, capfd):
    source = write_checkpoint(tmp_path / "source", layers=1)
    words = ["baseline", str(source), str(tmp_path / "out"), "--target", "executorch,onnx"]
    assert main([*words, "--json"]) == 0
    captured = capfd.readouterr()
    targets = [artifact["target"] for artifact in json.loads(captured.out)["artifacts"]]
    assert targets == ["executorch", "executorch", "onnx", "onnx"]
    lines = [line for line in captured.err.splitlines() if " done " not in line]
    assert [line.partition(":")[0] for line in lines] == [SDPA_PATH]
