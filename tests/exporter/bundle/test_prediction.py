"""Answers of the five tasks, against the PyTorch model they come from."""
# ruff: noqa: ARG001 - fixtures are asked for by name

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_checkpoint import write_checkpoint

import exporter.admission
import exporter.bundle
from exporter.checkpoint import load
from exporter.errors import UserError
from exporter.model.encoder import build_module
from exporter.prediction import predict
from exporter.targets.base import Coverage
from exporter.tokenizer import encode_batch, load_tokenizer
from exporter.verification.report import Check, GateReport


@pytest.fixture
def bundle_of(target, tmp_path, monkeypatch):
    """Builds a bundle of a task; returns its folder and a function for the reference outputs."""
    report = GateReport((Check("none", True, "", {}),))
    monkeypatch.setattr(
        exporter.admission, "prove", lambda *_, **__: (report, Coverage({}, {}, {}, ()))
    )

    def make(task, labels=None):
        source = write_checkpoint(tmp_path / "source", task=task, labels=labels)
        exporter.bundle.build(
            str(source), tmp_path / "out", targets=("fake",), precisions=("fp32", "int8")
        )
        checkpoint = load(str(source))
        tokenizer = load_tokenizer(checkpoint.tokenizer_files)

        def reference(text, pair=None):
            inputs = encode_batch(tokenizer, [text], None if pair is None else [pair], 16)
            module = build_module(checkpoint.model)
            outputs = module(**{k: torch.from_numpy(v) for k, v in inputs.items()})
            return {name: tensor[0].numpy() for name, tensor in outputs.items()}

        return tmp_path / "out", reference

    return make


def softmax(values):
    exponentials = np.exp(values - values.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def test_sequence_classification(bundle_of):
    bundle, reference = bundle_of("sequence-classification", ("low", "middle", "high"))
    found = predict(bundle, "red cat", "blue dog")
    expected = softmax(reference("red cat", "blue dog")["logits"])
    got = {item["label"]: item["probability"] for item in found.answer["labels"]}
    assert [got[name] for name in ("low", "middle", "high")] == pytest.approx(expected, abs=1e-6)
    probabilities = [item["probability"] for item in found.answer["labels"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert found.artifact == "fake/model.json"
    assert found.tokens == 7


def test_token_classification(bundle_of):
    bundle, reference = bundle_of("token-classification", ("O", "X"))
    found = predict(bundle, "red cat")
    best = reference("red cat")["logits"].argmax(-1)
    assert [t["token"] for t in found.answer["tokens"]] == ["[CLS]", "red", "cat", "[SEP]"]
    assert [t["label"] for t in found.answer["tokens"]] == [("O", "X")[i] for i in best]


def test_question_answering(bundle_of):
    bundle, reference = bundle_of("question-answering")
    context = "red  cat, blue dog runs"
    found = predict(bundle, "dog now", context).answer
    outputs = reference("dog now", context)
    start, end = outputs["start_logits"], outputs["end_logits"]
    # [CLS] dog now [SEP] red cat [UNK] blue dog runs [SEP]: the context is tokens 4 to 9.
    best = max(
        ((i, j) for i in range(4, 10) for j in range(i, 10)), key=lambda p: start[p[0]] + end[p[1]]
    )
    places = [(0, 3), (5, 8), (8, 9), (10, 14), (15, 18), (19, 23)]
    assert (found["start"], found["end"]) == (places[best[0] - 4][0], places[best[1] - 4][1])
    assert found["text"] == context[found["start"] : found["end"]]
    assert 0 < found["score"] <= 1
    with pytest.raises(UserError, match="--text-pair"):
        predict(bundle, "dog now")


def test_an_answer_lies_in_the_context_and_does_not_end_before_it_starts(
    bundle_of, target, monkeypatch
):
    bundle, _ = bundle_of("question-answering")
    # [CLS] dog now [SEP] cat red blue [SEP]: the question (1) and "blue to red" score highest.
    scores = {
        "start_logits": np.array([[0, 9, 0, 0, 0, 2, 5, 0]], dtype=np.float32),
        "end_logits": np.array([[0, 9, 0, 0, 0, 5, 0, 0]], dtype=np.float32),
    }
    monkeypatch.setattr(target, "open", lambda _: SimpleNamespace(run=lambda _: scores))
    assert predict(bundle, "dog now", "cat red blue").answer["text"] == "red"


def test_masked_lm(bundle_of):
    bundle, reference = bundle_of("masked-lm")
    found = predict(bundle, "red [MASK] runs").answer["masks"]
    expected = softmax(reference("red [MASK] runs")["logits"][2])
    assert [mask["position"] for mask in found] == [2]
    assert found[0]["pieces"][0]["probability"] == pytest.approx(expected.max(), abs=1e-6)
    assert len(found[0]["pieces"]) == 5
    with pytest.raises(UserError, match=r"holds no \[MASK\]"):
        predict(bundle, "red cat runs")


def test_feature_extraction(bundle_of):
    bundle, reference = bundle_of("feature-extraction")
    found = predict(bundle, "red cat").answer
    mean = reference("red cat")["last_hidden_state"].mean(0)
    assert found["size"] == 32
    assert found["norm"] == pytest.approx(np.linalg.norm(mean), rel=1e-5)
    assert found["first_values"] == pytest.approx(mean[:5], abs=1e-6)


def test_bad_requests_are_refused(bundle_of):
    bundle, _ = bundle_of("sequence-classification", ("low", "middle", "high"))
    with pytest.raises(UserError, match=r"^The text has 42 tokens; the model takes at most 16"):
        predict(bundle, "red " * 40)
    with pytest.raises(UserError, match=r"has no artifact 'x'.*fake/model_int8\.json"):
        predict(bundle, "red", artifact="x")
    (bundle / "fake" / "model.npz").write_bytes(b"other")
    with pytest.raises(UserError, match="bytes instead of"):
        predict(bundle, "red")
    assert predict(bundle, "red", artifact="fake/model_int8.json").artifact.endswith("int8.json")
    (bundle / "vocab.txt").unlink()
    with pytest.raises(UserError, match=r"not found.*vocab\.txt"):
        predict(bundle, "red", artifact="fake/model_int8.json")


def test_an_artifact_that_takes_less_than_its_model_is_named(bundle_of, target, monkeypatch):
    bundle, _ = bundle_of("sequence-classification", ("low", "middle", "high"))
    monkeypatch.setattr(target, "limit", lambda path: 4 if path.stem == "model_int8" else 16)
    short = (
        r"^The text has 5 tokens; fake/model_int8\.json takes at most 4\. .*--artifact.*--lengths"
    )
    with pytest.raises(UserError, match=short):
        predict(bundle, "red cat runs", artifact="fake/model_int8.json")
    assert predict(bundle, "red cat", artifact="fake/model_int8.json").tokens == 4
    assert predict(bundle, "red cat runs").tokens == 5


def test_an_artifact_is_asked_by_its_own_path(bundle_of):
    bundle, _ = bundle_of("sequence-classification", ("low", "middle", "high"))
    found = predict(bundle / "fake" / "model_int8.json", "red cat")
    assert found == predict(bundle, "red cat", artifact="fake/model_int8.json")
    (bundle / "fake" / "model_int8.npz").write_bytes(b"other")
    with pytest.raises(UserError, match="bytes instead of"):
        predict(bundle / "fake" / "model_int8.json", "red cat")


def test_an_artifact_alone_is_asked_with_its_tokenizer(bundle_of, tmp_path):
    bundle, _ = bundle_of("sequence-classification", ("low", "middle", "high"))
    expected = predict(bundle, "red cat")
    alone = tmp_path / "alone"
    shutil.copytree(bundle / "fake", alone)
    with pytest.raises(UserError, match="--tokenizer"):
        predict(alone / "model.json", "red cat")
    for folder in (tmp_path / "source", bundle):
        found = predict(alone / "model.json", "red cat", tokenizer=folder)
        assert (found.answer, found.tokens) == (expected.answer, expected.tokens)
    with pytest.raises(UserError, match="has no tokenizer"):
        predict(alone / "model.json", "red cat", tokenizer=alone)
    with pytest.raises(UserError, match="42 tokens"):
        predict(alone / "model.json", "red " * 40, tokenizer=bundle)
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "source", other)
    pieces = (other / "vocab.txt").read_text().split("\n")
    pieces[-3], pieces[-2] = pieces[-2], pieces[-3]
    (other / "vocab.txt").write_text("\n".join(pieces))
    with pytest.raises(UserError, match="is not the one"):
        predict(alone / "model.json", "red cat", tokenizer=other)
    with pytest.raises(UserError, match="does not exist"):
        predict(tmp_path / "none", "red cat")
