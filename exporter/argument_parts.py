"""What the parsers of the commands share: how a command is added, and types of options."""

import argparse
from typing import Any


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
        raise argparse.ArgumentTypeError(f"'{text}' is no positive number")
    return int(text)
