"""What the parsers of the commands share: how a command is added, and types of options."""

import argparse
from typing import Any

from exporter.model.config import TASKS


def add_command(
    commands: Any,
    name: str,
    summary: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """The parser of the command ``name``, among those of ``commands``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


def add_source(parser: argparse.ArgumentParser) -> None:
    """The option of commands that compare a bundle with its model."""
    parser.add_argument(
        "--source",
        metavar="MODEL",
        help="the model that the bundle was made from (default: as the manifest names it)",
    )


def comma_names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"'{text}' has an empty name")
    return names


def comma_counts(text: str) -> tuple[int, ...]:
    """Numbers from 1 with commas between them."""
    return tuple(positive_count(number.strip()) for number in text.split(","))


def positive_count(text: str) -> int:
    """A number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 on")
    return int(text)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """What a model is, where its checkpoint leaves it open."""
    parser.add_argument("--task", choices=TASKS, help="default: the checkpoint's own task")
    parser.add_argument(
        "--labels",
        type=comma_names,
        metavar="A,B,C",
        help="names of the outputs in their order, where the checkpoint does not give them",
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Of architectures without a checkpoint."""
    parser.add_argument(
        "--seed", type=int, default=0, help="of the weights of random:... (default: 0)"
    )
