"""The native runners of this machine as processes, for the tests of their contract."""

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tiny_bundles import tiny_model

from runtime_bench.native import places
from runtime_bench.runners.client import Answer, LocalRunner
from runtime_bench.runners.native import EXECUTABLES

LIMIT = 120.0
TARGETS = ("onnx", "executorch")
_FOLDER = places.runner_folder(platform.machine())
needs_native = pytest.mark.skipif(
    not (_FOLDER / "onnx_runner").is_file(), reason="needs the native runners: make native"
)


def executable(target: str) -> str:
    return str(_FOLDER / EXECUTABLES[target])


def inputs(length: int = 4, **changes: Any) -> dict[str, Any]:
    """Valid inputs of the tiny models; ``changes`` go into input_ids."""
    mask = {"dtype": "int64", "shape": [1, length], "values": [1]}
    return {"input_ids": {**mask, "values": [1, 2, 3, 49], **changes}, "attention_mask": mask}


def start(target: str) -> LocalRunner:
    return LocalRunner([executable(target)], LIMIT)


def load(runner: Any, path: Path, threads: int = 1, **options: Any) -> Answer:
    command = {"command": "load", "model": str(path), "threads": threads, **options}
    answer: Answer = runner.request(command, LIMIT)
    return answer


def prepare(runner: Any, given: Mapping[str, Any] | None = None) -> Answer:
    answer: Answer = runner.request({"command": "prepare", "inputs": given or inputs()}, LIMIT)
    return answer


def write_models(folder: Path, tiny_pte: bytes) -> Mapping[str, Path]:
    """The same tiny model for every target."""
    found = {"onnx": folder / "model.onnx", "executorch": folder / "model.pte"}
    found["onnx"].write_bytes(tiny_model())
    found["executorch"].write_bytes(tiny_pte)
    return found


def run(target: str, *options: str, text: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """The runner on a command line of its own, with ``text`` as its input."""
    command = [executable(target), *options]
    return subprocess.run(command, input=text, capture_output=True, check=False)
