"""Native runners of this machine, with and without a tiny model."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from native_processes import TARGETS, load, start, write_models

from runtime_bench.runners.client import LocalRunner


@pytest.fixture
def models(tmp_path: Path, tiny_pte: bytes) -> Mapping[str, Path]:
    return write_models(tmp_path, tiny_pte)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def runner(target: str) -> Iterator[LocalRunner]:
    started = start(target)
    yield started
    started.close()


@pytest.fixture
def loaded(runner: LocalRunner, target: str, models: Mapping[str, Path]) -> LocalRunner:
    load(runner, models[target])
    return runner
