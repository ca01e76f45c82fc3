"""Runners for the phone: what is pushed there starts this host's, so that real models run."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]


def write_runners(folder: Path) -> None:
    """Fill ``folder`` as the folder of the runners for aarch64 is filled, with scripts.

    They carry their own path in their command line, as a binary would.
    """
    folder.mkdir(parents=True)
    native = REPOSITORY / ".native/x86_64/onnx_runner"
    if native.exists():
        start = f'exec -a "$0" "{native}" "$@"'
    else:
        worker = "runtime_bench.runners.onnx_worker"
        start = f'PYTHONPATH="{REPOSITORY}" exec "{sys.executable}" -m {worker} "$0"'
    _script(folder / "onnx_runner", start)
    _script(folder / "executorch_runner", "exit 1")
    # The loader: --library-path FOLDER PROGRAM.
    _script(folder / "ld-linux-aarch64.so.1", 'shift 2; exec "$@"')
    (folder / "libc.so.6").write_bytes(bytes(range(256)) * 16)


def _script(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    file.chmod(0o755)
