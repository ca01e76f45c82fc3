"""What the commands draw: readable on a narrow terminal, one line each for other programs."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from exporter.recheck import Verification
from exporter.rendering import show_verification
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
