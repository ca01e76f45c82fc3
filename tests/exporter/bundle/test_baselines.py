"""Stock exports: they run, they say how far they are from PyTorch, and they claim nothing."""
# ruff: noqa: ARG001 - fixtures are asked for by name

import errno
import json
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import onnxruntime
import pytest
from tiny_checkpoint import write_checkpoint

import exporter
from exporter import baselines
from exporter.baselines import build_baseline, stock_onnx
from exporter.baselines.comparison import compare_stock
from exporter.baselines.stock_onnx import FP32_PATH, INT8_PATH, OnnxSession, export_stock
from exporter.cli import main
from exporter.errors import CheckFailed, UserError
from exporter.manifest_file import read_manifest
from exporter.recheck import verify
from exporter.targets.base import INPUTS

SCHEMA = Path(exporter.__file__).parent / "schema" / "manifest.schema.json"


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """A stock bundle of a tiny grouped SqueezeBERT."""
    folder = tmp_path_factory.mktemp("stock")
    source = write_checkpoint(folder / "source")
    build_baseline(str(source), folder / "out", command=["baseline", "source"])
    return folder / "out"


def test_a_stock_bundle_is_a_bundle(stock):
    document = json.loads((stock / "manifest.json").read_text())
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    manifest = read_manifest(stock)
    assert manifest.recipe == "stock"
    assert [(a.path, a.precision, a.flavour) for a in manifest.artifacts] == [
        (FP32_PATH, "fp32", "stock"),
        (INT8_PATH, "int8", "stock"),
    ]
    for artifact in manifest.artifacts:
        names = [tensor.name for tensor in artifact.inputs]
        assert names == ["input_ids", "attention_mask", "token_type_ids"]
        assert {tensor.dtype for tensor in artifact.inputs} == {"int64"}
        assert artifact.inputs[0].shape == ("batch", "sequence")
        assert artifact.outputs[0].shape == ("batch", 3)
    assert verify(stock).passed


def test_the_differences_are_measured(stock):
    fp32, int8 = (a.verification["checks"][0] for a in read_manifest(stock).artifacts)
    assert fp32["name"] == int8["name"] == "outputs"
    assert fp32["measured"]["max_abs_diff"] < 1e-4
    assert int8["measured"]["max_abs_diff"] > 1e-3
    assert fp32["measured"]["centred_cosine"] > 0.99999 > int8["measured"]["centred_cosine"]
    assert fp32["tolerance"] is None


def test_batch_and_sequence_are_dynamic(stock):
    for path in (FP32_PATH, INT8_PATH):
        session = onnxruntime.InferenceSession(stock / path)
        for shape in ((1, 1), (3, 7), (2, 16)):
            feed = {n: np.ones(shape, dtype=np.int64) for n in INPUTS}
            assert session.run(None, feed)[0].shape == (shape[0], 3)


def test_grouped_layers_take_the_way_that_users_get(stock):
    operators = {node.op_type for node in onnx.load(stock / INT8_PATH).graph.node}
    assert "ConvInteger" in operators  # why stock int8 is slow: see the facts on measurements
    assert "Conv" in {node.op_type for node in onnx.load(stock / FP32_PATH).graph.node}


@pytest.mark.parametrize(
    ("family", "task", "labels", "outputs"),
    [
        ("bert", "sequence-classification", ("a", "b", "c"), ["logits"]),
        ("bert", "question-answering", None, ["start_logits", "end_logits"]),
        ("squeezebert", "masked-lm", None, ["logits"]),
        ("squeezebert", "token-classification", ("a", "b"), ["logits"]),
        ("bert", "feature-extraction", None, ["last_hidden_state"]),
    ],
)
def test_both_families_and_all_tasks(family, task, labels, outputs, tmp_path):
    source = write_checkpoint(tmp_path / "source", family=family, task=task, labels=labels)
    manifest = build_baseline(str(source), tmp_path / "out")
    assert [t.name for t in manifest.artifacts[0].outputs][: len(outputs)] == outputs
    checks = [a.verification["checks"][0] for a in manifest.artifacts]
    assert checks[0]["measured"]["max_abs_diff"] < 1e-4
    assert all(check["passed"] for check in checks)


def test_a_stock_artifact_that_does_not_run_is_a_failed_check(tmp_path, monkeypatch):
    source = write_checkpoint(tmp_path / "source")
    monkeypatch.setattr(stock_onnx, "quantize_stock", lambda _, path: path.write_bytes(b"no"))
    with pytest.raises(CheckFailed, match="cannot run the stock int8 export"):
        build_baseline(str(source), tmp_path / "out")
    assert [a.path for a in read_manifest(tmp_path / "out").artifacts] == [FP32_PATH]
    assert not (tmp_path / "out" / INT8_PATH).exists()


def test_an_export_that_fails_is_one_line(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("No decomposition for aten::foo.\nmany\nmore lines")

    source = write_checkpoint(tmp_path / "source")
    monkeypatch.setattr(stock_onnx.torch.onnx, "export", fail)
    with pytest.raises(
        CheckFailed, match=r"torch\.onnx\.export cannot make .* aten::foo\. Mea"
    ) as c:
        build_baseline(str(source), tmp_path / "out")
    assert "\n" not in str(c.value)
    assert read_manifest(tmp_path / "out").artifacts == ()


def test_a_full_disk_is_no_failed_check(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    source = write_checkpoint(tmp_path / "source")
    monkeypatch.setattr(stock_onnx.torch.onnx, "export", fail)
    with pytest.raises(UserError, match="No space is left"):
        build_baseline(str(source), tmp_path / "out")


def test_values_that_are_not_finite_stay_out(stock, tmp_path, monkeypatch):
    def overflow(_, path):
        model = onnx.load(stock / FP32_PATH)
        for tensor in model.graph.initializer:
            if tensor.name == "classifier.bias":
                values = np.full(tensor.dims, np.nan, dtype=np.float32)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        onnx.save(model, path)

    source = write_checkpoint(tmp_path / "source")
    monkeypatch.setattr(stock_onnx, "quantize_stock", overflow)
    with pytest.raises(CheckFailed, match="int8 export gives values that are not finite"):
        build_baseline(str(source), tmp_path / "out")
    assert [a.path for a in read_manifest(tmp_path / "out").artifacts] == [FP32_PATH]
    assert not (tmp_path / "out" / INT8_PATH).exists()


def test_a_bundle_made_while_the_model_was_loaded_is_not_overwritten(
    build, tmp_path, checkpoint_folder, monkeypatch
):
    real = baselines.load

    def load_slowly(*arguments, **options):
        build()
        return real(*arguments, **options)

    monkeypatch.setattr(baselines, "load", load_slowly)
    with pytest.raises(UserError, match="recipe 'squeezebert-export', not 'stock'"):
        build_baseline(str(checkpoint_folder), tmp_path / "out")


def test_a_difference_is_seen(tmp_path, monkeypatch):
    """The comparison can fail to be equal: another model's export is far off."""
    source = write_checkpoint(tmp_path / "source")
    other = write_checkpoint(tmp_path / "other", seed=1)
    real = baselines.transformers_model
    module = real(baselines.load(str(other)).model)
    checkpoint = baselines.load(str(source))
    export_stock(real(checkpoint.model), checkpoint, tmp_path / "model.onnx")
    session = OnnxSession(tmp_path / "model.onnx", ("logits",))
    check = compare_stock(module, session.run, checkpoint)
    assert check.measured["max_abs_diff"] > 0.1
    assert check.measured["centred_cosine"] < 0.9


def test_padding_is_part_of_the_comparison(stock):
    session = OnnxSession(stock / FP32_PATH, ("logits",))

    def run_without_mask(feed):
        return session.run({**feed, "attention_mask": np.ones_like(feed["input_ids"])})

    checkpoint = baselines.load(str(stock.parent / "source"))
    module = baselines.transformers_model(checkpoint.model)
    check = compare_stock(module, run_without_mask, checkpoint)
    assert check.measured["max_abs_diff"] > 0.01


@pytest.mark.parametrize("targets", [["none"], ["onnx", "none"], []])
def test_an_unknown_target_is_refused_before_the_work(targets, tmp_path):
    source = write_checkpoint(tmp_path / "source")
    with pytest.raises(UserError) as refused:
        build_baseline(str(source), tmp_path / "out", targets=targets)
    assert refused.value.next_step == "Choose from: executorch, onnx."
    assert not (tmp_path / "out").exists()


def test_the_command_takes_targets(tmp_path, capsys):
    source = write_checkpoint(tmp_path / "source")
    assert main(["baseline", str(source), str(tmp_path / "out"), "--target", "onnx,none"]) == 2
    assert "error: No stock export for 'none'. Choose" in capsys.readouterr().err


def test_recipes_do_not_mix(stock, tmp_path):
    source = write_checkpoint(tmp_path / "source")
    with pytest.raises(UserError, match="recipe 'stock', not 'squeezebert-export'"):
        exporter.bundle.build(str(source), stock)


def test_the_command(tmp_path, capsys):
    source = write_checkpoint(tmp_path / "source")
    assert main(["baseline", str(source), str(tmp_path / "out"), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["recipe"] == "stock"
    assert "torchvision" not in captured.err
    assert "baseline" in (tmp_path / "out" / "README.md").read_text()
