"""The figures and rules of the app's benchmark are runtime_bench's, on questions by chance."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime_bench import gates, right_answers, schedule, stability, statistics, throttling
from runtime_bench import records as records_module
from runtime_bench.adb import clusters
from runtime_bench.devices.base import Conditions
from runtime_bench.plan import Plan, Settings, make_plan
from runtime_bench.records import BlockRecord
from runtime_bench.rounds import Rounds
from runtime_bench.runners import protocol
from tests.android_app.app_plans import PACKAGE, Document, app_bundle
from tests.android_app.core_classes import run_program

_MODULES = {
    "protocol": protocol,
    "schedule": schedule,
    "throttling": throttling,
    "statistics": statistics,
    "stability": stability,
    "right_answers": right_answers,
    "gates": gates,
    "records": records_module,
    "clusters": clusters,
}


def test_constants_are_those_of_runtime_bench() -> None:
    printed = json.loads(run_program(f"{PACKAGE}.PrintConstants", []))
    assert printed.pop("settings") == asdict(Settings())
    assert len(printed) == 20
    assert _different(printed) == []
    # Every figure is compared: a single other one is found.
    for name, value in printed.items():
        other = [*value, "0xd00"] if isinstance(value, list) else f"{value}0" * 2
        assert _different(printed | {name: other}) == [name]


def _different(printed: Mapping[str, Any]) -> list[str]:
    found = []
    for name, value in printed.items():
        module, constant = name.split(".")
        here = getattr(_MODULES[module], constant)
        if value != (sorted(here) if isinstance(here, frozenset) else here):
            found.append(name)
    return found


def _ratio_cases(count: int) -> Iterator[Document]:
    generator = np.random.default_rng(7)
    for index in range(count):
        sides = {}
        for side in ("baseline", "subject"):
            rounds = generator.choice(24, size=generator.integers(1, 24), replace=False)
            sides[side] = {
                str(number): generator.normal(10, 1 + index % 3, generator.integers(1, 40)).tolist()
                for number in rounds
            }
        yield sides


def _blocks(side: Mapping[str, Sequence[float]]) -> dict[int, Any]:
    return {int(number): np.array(values) for number, values in side.items()}


class TestFigures:
    """Single figures, on questions made by chance."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self._path = tmp_path / "questions.json"

    def ask(self, name: str, questions: Sequence[Any]) -> list[Any]:
        self._path.write_text(json.dumps({name: questions}))
        answers: list[Any] = json.loads(run_program(f"{PACKAGE}.PrintFigures", [self._path]))[name]
        assert len(answers) == len(questions)
        return answers

    def test_ratios(self) -> None:
        questions = list(_ratio_cases(200))
        verdicts = set()
        for question, answer in zip(questions, self.ask("ratio", questions), strict=True):
            sides = [_blocks(question[side]) for side in ("baseline", "subject")]
            if not set(sides[0]) & set(sides[1]):
                assert answer["value"] is None
                continue
            expected = statistics.ratio(sides[0], sides[1])
            assert answer["value"] == pytest.approx(expected.value, rel=1e-14)
            assert answer["verdict"] == expected.verdict
            verdicts.add(expected.verdict)
            if expected.interval is None:
                assert answer["low"] is None
                continue
            assert answer["low"] == pytest.approx(expected.interval.low, rel=1e-9)
            assert answer["high"] == pytest.approx(expected.interval.high, rel=1e-9)
        assert verdicts == {"faster", "slower", "undecided"}

    def test_token_ids(self) -> None:
        questions = [
            [seed, length, bound]
            for seed in (0, 1, 2**31 - 1)
            for length in (1, 8, 127, 512)
            for bound in (1, 2, 50, 28996, 30522, 2**31 - 1)
        ]
        for question, answer in zip(questions, self.ask("integers", questions), strict=True):
            seed, length, bound = question
            generator = np.random.default_rng([seed, length])
            assert answer == generator.integers(0, bound, length).tolist()

    def test_the_warm_up_rule(self) -> None:
        generator = np.random.default_rng(1)
        questions = [
            (1000 * generator.uniform(0.95, 1.05, generator.integers(0, 14))).astype(int).tolist()
            for _ in range(300)
        ]
        answers = self.ask("steady", questions)
        assert answers == [protocol.is_steady(times) for times in questions]
        assert len(set(answers)) == 2

    def test_told_values(self) -> None:
        sizes = [*range(1, 20), *range(1020, 1030), *range(2040, 2060), 10**6]
        assert self.ask("step", sizes) == [protocol.output_step(size) for size in sizes]

    def test_distances(self) -> None:
        generator = np.random.default_rng(2)
        questions = []
        for shift in (0.0, 1e-5, 1e-3, 1.0):
            values = generator.normal(size=6)
            expected = {"a": {"shape": [2, 3], "values": values.tolist()}}
            found = {"a": {"shape": [2, 3], "values": (values + shift).tolist()}}
            questions += [
                {"found": found, "expected": expected},
                {"found": {"a": found["a"] | {"shape": [3, 2]}}, "expected": expected},
                {"found": {"a": found["a"] | {"values": [1.0]}}, "expected": expected},
                {"found": {"b": found["a"]}, "expected": expected},
            ]
        for question, answer in zip(questions, self.ask("distance", questions), strict=True):
            expected_distance = right_answers.distance(question["found"], question["expected"])
            if answer is None:
                assert expected_distance == float("inf")
            else:
                assert answer == pytest.approx(expected_distance, rel=1e-12, abs=1e-300)

    def test_clusters(self) -> None:
        generator = np.random.default_rng(3)
        parts = ["0xd05", "0xd41", "0xd44", "0xd46", "0xd4d", "0x805", "0x804"]
        clocks = [None, 1_800_000, 2_400_000, 3_000_000]
        questions = [
            {
                str(cpu): {"khz": generator.choice(clocks), "part": str(generator.choice(parts))}
                for cpu in range(generator.integers(0, 9))
            }
            for _ in range(200)
        ]
        for question, answer in zip(questions, self.ask("clusters", questions), strict=True):
            cores = [
                clusters.Core(int(cpu), core["khz"], core["part"]) for cpu, core in question.items()
            ]
            expected = json.loads(json.dumps([asdict(item) for item in clusters.clusters(cores)]))
            assert answer == expected

    def test_slowdowns(self) -> None:
        generator = np.random.default_rng(4)

        def measured() -> Document:
            speed = generator.uniform(0.9, 1.1)
            return {
                entry: {
                    "wall": [int(1_000_000 * speed)] * 3,
                    "khz": int(2_000_000 / generator.uniform(0.95, 1.15)),
                }
                for entry in ("e1", "e2")
            }

        statuses = [None, 0, 0, 0, 1, 1, 1, 1, 2, 3]
        questions = [
            {
                "at_rest": [measured() for _ in range(generator.integers(0, 3))],
                "last": measured(),
                "thermal_status": generator.choice(statuses),
            }
            for _ in range(300)
        ]
        answers = self.ask("slowed", questions)
        for question, answer in zip(questions, answers, strict=True):
            expected = throttling.slowed(
                [_round(item) for item in question["at_rest"]],
                _round(question["last"]),
                "peak",  # measured by no app: the time of its own product is only recorded
                Conditions(thermal_status=question["thermal_status"]),
                (),
            )
            assert answer == expected
        starts = {answer[:12] for answer in answers}
        assert starts == {"", "the thermal ", "the fastest "}

    def test_rounds(self, tmp_path: Path) -> None:
        generator = np.random.default_rng(5)
        questions = [_measured_rounds(generator) for _ in range(300)]
        made = make_plan(
            [str(app_bundle(tmp_path / "a"))],
            baselines=[str(app_bundle(tmp_path / "b", family="bert", recipe="stock"))],
            lengths=[8],
        )
        entries = tuple(entry for entry in made.entries if entry.id != "peak")
        seen = set()
        for question, answer in zip(questions, self.ask("rounds", questions), strict=True):
            settings = Settings(blocks=question["blocks"])
            fixed = Plan("host", entries, (8,), (1,), settings, ())
            rounds = Rounds(fixed, set(question["failed"]))
            for entry, number, position, wall in question["measured"]:
                rounds.add(_block(entry, number, position, wall))
            for number in question["dropped"]:
                rounds.drop(number)
            expected = {
                "missing": rounds.missing(),
                "forward": rounds.goes_forward(),
                "next": rounds.next_number(),
                "last": rounds.last_complete(),
                "complete": len(rounds.complete()),
            }
            assert answer == expected
            seen.add(expected["missing"])
        assert {0, 1, 2, 3} <= seen


def _measured_rounds(generator: np.random.Generator) -> Document:
    """Some rounds of e1 and e2; some are cut, some dropped, some noisy."""
    count = int(generator.integers(0, 14))
    noise = float(generator.choice([1e-3, 0.3]))
    measured = []
    for number in range(count):
        names = ["e1", "e2"][:: int(generator.choice([1, -1]))]
        for position, entry in enumerate(names[: 1 if generator.random() < 0.1 else 2]):
            wall = 1e6 * generator.lognormal(0, noise, 3)
            measured.append([entry, number, position, wall.astype(int).tolist()])
    dropped = [number for number in range(count) if generator.random() < 0.1]
    failed = [entry for entry in ("e1", "e2") if generator.random() < 0.1]
    blocks = int(generator.choice([2, 6, 8]))
    return {"blocks": blocks, "measured": measured, "dropped": dropped, "failed": failed}


def _round(measured: Document) -> dict[str, BlockRecord]:
    return {
        entry: _block(entry, 0, 0, item["wall"], item["khz"]) for entry, item in measured.items()
    }


def _block(
    entry: str, number: int, position: int, wall: Sequence[int], khz: int = 0
) -> BlockRecord:
    return BlockRecord(
        entry=entry,
        length=8,
        threads=1,
        round=number,
        position=position,
        started="",
        lead_in_ns=(),
        wall_ns=tuple(wall),
        cpu_ns=tuple(wall),
        peak_rss_bytes=0,
        other_load=None,
        stolen=None,
        after={"khz": {"4": khz}, "celsius": {}},
    )
