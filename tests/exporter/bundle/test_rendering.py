"""What the commands draw: readable on a narrow terminal, one line each for other programs."""

from io import StringIO
from pathlib import Path

import numpy as np
from rich.console import Console

from exporter.evaluation import Evaluation
from exporter.manifest_file import as_document
from exporter.recheck import Verification
from exporter.rendering import show_inspection, show_verification
from exporter.rendering_evaluation import show_evaluation
from exporter.verification.accuracy import compare
from exporter.verification.labelled_data import LabelledData
from exporter.verification.report import Check, GateReport

LONG = "relative error 2.9e-07 (typical), 3.6e-07 (largest) over 6 cases; limits 1e-05 and 1e-05"
FOUND = Verification(
    Path("out"),
    {
        "shared files": GateReport((Check("files", True, "as in the manifest", {}),)),
        "onnx/model.onnx": GateReport(
            (Check("layer parity", True, LONG, {}), Check("outputs", False, "off by 1", {}))
        ),
    },
)


def drawn(**options):
    stream = StringIO()
    show_verification(Console(file=stream, **options), FOUND)
    return stream.getvalue().splitlines()


def test_a_narrow_terminal_continues_a_finding_below_its_beginning():
    assert drawn(width=80, force_terminal=True) == [
        "shared files",
        "  passed  files         as in the manifest",
        "onnx/model.onnx",
        "  passed  layer parity  relative error 2.9e-07 (typical), 3.6e-07 (largest) over",
        "                        6 cases; limits 1e-05 and 1e-05",
        "  FAILED  outputs       off by 1",
        "out: NOT proved",
    ]


def test_a_file_gets_one_line_for_each_check():
    lines = drawn(width=80)
    assert lines[3] == f"  passed  layer parity  {LONG}"
    assert len(lines) == 6


def test_a_check_without_a_finding_is_shown():
    report = GateReport((Check("outputs", True, "", {}),))
    stream = StringIO()
    show_verification(Console(file=stream), Verification(Path("out"), {"model.onnx": report}))
    assert "  passed  outputs" in stream.getvalue()


NAMES = ("coreml/model_fixed_logits_fp16.mlpackage", "coreml/model_palettized6.mlpackage")


def test_a_name_in_a_table_is_one_word_on_a_narrow_terminal():
    logits = np.eye(3, dtype=np.float32)
    data = LabelledData("data.tsv", "0" * 64, ("a", "b", "c"), None, (0, 1, 2))
    labels = ("entailment", "neutral", "contradiction")
    found = compare(logits, logits, data, label_names=labels)
    evaluation = Evaluation("data.tsv", 3, dict.fromkeys(NAMES, found), {}, skipped=2)
    stream = StringIO()
    show_evaluation(Console(file=stream, width=80), evaluation)
    words = stream.getvalue().split()
    assert set(NAMES) <= set(words)
    assert set(labels) <= set(words)
    assert max(map(len, stream.getvalue().splitlines()[:6])) <= 80
    assert "3 examples of data.tsv, 2 without a label skipped: PyTorch" in stream.getvalue()


def test_inspected_names_are_one_word_too(build):
    document = as_document(build().manifest)
    for artifact, name in zip(document["artifacts"], NAMES, strict=True):
        artifact["path"] = name
    stream = StringIO()
    show_inspection(Console(file=stream, width=80), document)
    assert set(NAMES) <= set(stream.getvalue().partition(": ")[2].split())


def test_of_many_labels_the_worst_are_shown_and_the_rest_is_said():
    names = [f"label{i}" for i in range(9)]
    logits = np.eye(8, 9, dtype=np.float32)
    data = LabelledData("data.tsv", "0" * 64, ("a",) * 8, None, (0, 1, 2, 3, 4, 5, 7, 6))
    found = compare(logits, logits, data, label_names=names)
    stream = StringIO()
    show_evaluation(Console(file=stream, width=80), Evaluation("data.tsv", 8, {"m": found}, {}))
    words = stream.getvalue().split()
    assert {"label6", "label7"} <= set(words)
    assert sum(word.startswith("label") and word[5:].isdigit() for word in words) == 5
    assert "label8" not in words  # the data has no example of it
    assert "The 5 labels with the least F1, of the 8 that the data has." in stream.getvalue()
    assert "m: not written into the bundle" in stream.getvalue()
