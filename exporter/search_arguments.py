"""The options of ``build`` that search within a budget, and the command ``sensitivity``."""

import argparse
from pathlib import Path
from typing import Any

from exporter.argument_parts import add_command, add_model_options, positive_count

_SENSITIVITY_EXAMPLES = """\
examples:
  squeezebert-export sensitivity example:nli --data snli_test.tsv.gz --out out/sensitivity
  squeezebert-export sensitivity ./my-model --data dev.tsv --out out/sensitivity \\
      --target executorch --minutes 5

Every layer (and table) is quantized alone, by each method that the target has, all else in fp32:
how much accuracy is lost, how many answers change, and how far probabilities move. The report is a
table, a picture and JSON; the same command goes on where it was interrupted.
"""


def add_search_options(build: argparse.ArgumentParser) -> None:
    """``--budget`` and what belongs to it."""
    build.add_argument(
        "--budget",
        type=_points,
        metavar="POINTS",
        help="search for the fastest artifact that is measured to lose at most so many points of "
        "accuracy on --eval-data: 'mixed', whose layers are each computed and stored as that "
        "allows (onnx, executorch)",
    )
    build.add_argument(
        "--smallest", action="store_true", help="with --budget: the smallest, not the fastest"
    )
    build.add_argument(
        "--search-minutes",
        type=positive_count,
        metavar="N",
        help="with --budget: about how long each target's search may take (default: 20)",
    )


def add_sensitivity(commands: Any, epilog: str) -> None:
    """The command ``sensitivity``."""
    sensitivity = add_command(
        commands,
        "sensitivity",
        "measure what quantizing each layer does to the answers",
        f"{_SENSITIVITY_EXAMPLES}\n{epilog}",
    )
    sensitivity.add_argument("model", metavar="MODEL", help="what to measure, see below")
    sensitivity.add_argument(
        "--data", type=Path, required=True, metavar="TSV", help="labelled data"
    )
    sensitivity.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="where the report goes"
    )
    sensitivity.add_argument(
        "--target", default="onnx", help="whose methods: onnx or executorch (default: onnx)"
    )
    sensitivity.add_argument(
        "--limit", type=positive_count, metavar="N", help="draw N examples (default: up to 2,000)"
    )
    sensitivity.add_argument(
        "--minutes",
        type=positive_count,
        default=20,
        metavar="N",
        help="about how long it may take (default: %(default)s)",
    )
    add_model_options(sensitivity)


def _points(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of points") from None
