"""Runs ExecuTorch programs: ``python -m runtime_bench.runners.executorch_worker``."""

import importlib.metadata
from pathlib import Path

from runtime_bench.runners.executorch_program import ProgramModel
from runtime_bench.runners.protocol import Message, serve

VERSIONS = {name: importlib.metadata.version(name) for name in ("executorch", "torch")}


def open_model(command: Message) -> ProgramModel:
    return ProgramModel(Path(str(command["model"])), int(command["threads"]))


if __name__ == "__main__":
    serve(open_model, VERSIONS)
