"""``compare`` as a command: files in, verdicts out, exit codes, bad input."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
from simulated_runs import Noise, Simulation, entry, simulate, write

from runtime_bench.comparison import command
from runtime_bench.errors import InputError

RUN = Simulation([entry("e1", sha256="1" * 64)], {"e1": 20.0, "peak": 6.0}, Noise(0.003, 0.003))
LATER = replace(RUN, seed=1, entries=[entry("e1", sha256="2" * 64)])
SLOWER = replace(LATER, milliseconds={"e1": 25.0, "peak": 6.0})


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    command.add_options(parser)
    return parser.parse_args(arguments)


def test_the_command_reads_compares_prints_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = str(write(simulate(RUN), tmp_path / "a.jsonl"))
    after = str(write(simulate(SLOWER), tmp_path / "b.jsonl"))
    out = tmp_path / "new" / "c.json"
    assert command.run(options(before, after, "--out", str(out)), []) == 1
    shown = capsys.readouterr().out
    assert "SLOWER" in shown
    assert command.run(options(before, after, "--json", "--limit", "40"), []) == 0
    assert json.loads(capsys.readouterr().out)["changes"][0]["verdict"] == "SAME"
    assert json.loads(out.read_text())["exit_code"] == 1
    assert sorted(path.name for path in out.parent.iterdir()) == ["c.json"]


def test_strict_fails_where_nothing_could_be_decided(tmp_path: Path) -> None:
    rounds = [block for block in simulate(RUN).blocks if block.round < 4]
    few = replace(simulate(RUN), blocks=tuple(rounds))
    before = str(write(few, tmp_path / "a.jsonl"))
    after = str(write(simulate(LATER), tmp_path / "b.jsonl"))
    calm = str(write(simulate(RUN), tmp_path / "c.jsonl"))
    assert command.run(options(calm, after, "--strict"), []) == 0
    assert command.run(options(before, after), []) == 0
    assert command.run(options(before, after, "--strict"), []) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.jsonl",), "cannot be read"),
        (("--limit", "0"), "percentages"),
        (("--instruction-limit", "-1"), "percentages"),
        (("--across", "colour"), "runtime, system"),
        (("--out", "."), "cannot be written"),
    ],
)
def test_bad_input_says_so(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    path = str(write(simulate(replace(RUN, rounds=2)), tmp_path / "a.jsonl"))
    files = [path] if arguments == ("missing.jsonl",) else [path, path]
    with pytest.raises(InputError, match=words):
        command.run(options(*files, *arguments), [])
