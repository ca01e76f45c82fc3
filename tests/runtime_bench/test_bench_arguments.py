"""The help of the commands: its examples are commands, and no option goes unexplained."""

import argparse
import re
import shlex

import pytest

from runtime_bench.arguments import command_line


def commands() -> dict[str, argparse.ArgumentParser]:
    (choice,) = (
        action
        for action in command_line()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(choice.choices)


@pytest.mark.parametrize("name", ["run", "report", "profile", "devices"])
def test_the_examples_of_the_help_are_commands(name: str) -> None:
    examples = re.findall(r"^  squeezebert-bench (.*)$", commands()[name].format_help(), re.M)
    assert examples
    for example in examples:
        assert command_line().parse_args(shlex.split(example)).command == name


def test_every_argument_is_explained() -> None:
    for name, parser in commands().items():
        for action in parser._actions:
            assert action.help, f"{name} {action.dest}"
