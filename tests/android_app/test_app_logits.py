"""What the app computes with ONNX Runtime is what Python computes, from text to logits.

The app's own code runs here, on a desktop JVM, on artifacts made from the examples.
"""

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from tokenizers import Tokenizer

from exporter.bundle import build
from tests.android_app.core_classes import ROOT, run_program

PROGRAM = "org.squeezebert.app.engines.LogitsMain"
EXAMPLES = ROOT / "exporter" / "examples"
TEXTS = {"nli": ("snli_test", ("premise", "hypothesis")), "intents": ("clinc_test", ("text",))}
COUNT = 100
EXACT = 1e-4
# The JVM's newest ONNX Runtime on Maven Central is 1.29, Python's is 1.31. With 1.29 on both sides
# int8 logits differ by 5e-7 at most; across versions by up to 2 % of their size (200 pairs), since
# an activation that rounds to the neighbouring step moves what comes after it.
QUANTIZED = 0.05

Logits = npt.NDArray[np.float32]


def texts(name: str) -> list[list[str]]:
    data, columns = TEXTS[name]
    with gzip.open(EXAMPLES / name / f"{data}.tsv.gz", "rt", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [[row[column] for column in columns] for row in rows[:: len(rows) // COUNT]][:COUNT]


def by_python(bundle: Path, path: str, lines: Sequence[Sequence[str]]) -> list[Logits]:
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    session = onnxruntime.InferenceSession(bundle / path)
    found = []
    for line in lines:
        encoding = tokenizer.encode(*line)
        inputs = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        feed = {item.name: np.array([inputs[item.name]], np.int64) for item in session.get_inputs()}
        found.append(session.run(None, feed)[0][0])
    return found


def by_the_app(bundle: Path, path: str, lines: Sequence[Sequence[str]]) -> list[Logits]:
    questions = [dict(zip(("text", "pair"), line, strict=False)) for line in lines]
    text = "".join(json.dumps(question) + "\n" for question in questions)
    printed = run_program(PROGRAM, [bundle, path], module="app", given=text)
    return [np.array(json.loads(line)["logits"], np.float32) for line in printed.splitlines()]


@pytest.fixture(scope="module", params=sorted(TEXTS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def bundle(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / name
    build(f"example:{name}", folder, precisions=("fp32", "int8"))
    return folder


def distances(found: Sequence[Logits], expected: Sequence[Logits]) -> list[float]:
    return [
        float(np.linalg.norm(one - other) / np.linalg.norm(other))
        for one, other in zip(found, expected, strict=True)
    ]


def test_fp32_logits_are_equal(name: str, bundle: Path) -> None:
    lines = texts(name)
    expected = by_python(bundle, "onnx/model.onnx", lines)
    found = by_the_app(bundle, "onnx/model.onnx", lines)
    worst = max(np.abs(one - other).max() for one, other in zip(found, expected, strict=True))
    assert worst <= EXACT
    # The same limit notices a pair whose texts were swapped, or another text.
    others = by_python(bundle, "onnx/model.onnx", [line[::-1] for line in lines[1:] + lines[:1]])
    assert min(np.abs(one - two).max() for one, two in zip(found, others, strict=True)) > EXACT


def test_int8_logits_agree(name: str, bundle: Path) -> None:
    lines = texts(name)
    expected = by_python(bundle, "onnx/model_int8.onnx", lines)
    found = by_the_app(bundle, "onnx/model_int8.onnx", lines)
    assert max(distances(found, expected)) <= QUANTIZED
    assert [int(one.argmax()) for one in found] == [int(one.argmax()) for one in expected]
    # The limit notices texts that came out of order.
    assert np.median(distances(found, [*expected[1:], expected[0]])) > QUANTIZED
