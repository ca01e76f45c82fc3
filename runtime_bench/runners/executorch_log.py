"""What ExecuTorch says when something fails: its log, turned into a cause and a next step.

The exceptions of ExecuTorch carry a number only; the cause is in the lines that it writes to
standard error.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from runtime_bench.errors import RunnerError

_R = TypeVar("_R")
_REBUILD = "Build it again: squeezebert-export build MODEL BUNDLE --force"
_INSTALL = "Install the version that this project names: pip install -r requirements.lock"
# What it tells of the machine whether or not anything fails, and what follows a cause.
_NOISE = re.compile(r"^\[(cpuinfo_utils|threadpool)\.cpp|\] (dtype: |arg \d|[\d,]*\]?$)")
_PLACE = re.compile(r"^\[[\w.]+:\d+\] ")
# A line of the log, what it means, what to do. The first rule with a line that fits is taken.
_CAUSES: Sequence[tuple[str, str, str]] = (
    (r"Failed to open \S+: (.+?)( \(\d+\))?$", "{file} cannot be opened: {0}.", _REBUILD),
    (
        r"Program identifier '(ET..)' != expected '(ET..)'",
        "{file} is of another version of ExecuTorch: its format is {0}, this one reads {1}.",
        _REBUILD,
    ),
    (r"Program identifier '", "{file} is not an ExecuTorch program.", _REBUILD),
    (
        r"File size is too small|> file_size_ \d+",
        "{file} is cut off: its end is missing.",
        _REBUILD,
    ),
    (r"Verification failed", "{file} is damaged.", _REBUILD),
    (
        r"Backend (\S+) is not registered",
        "{file} needs the backend {0}, which this installation of ExecuTorch does not have.",
        f"{_INSTALL}; or build for XNNPACK, which it has.",
    ),
    (
        r"Missing operator: \[\d+\] (\S+)",
        "{file} needs the operator {0}, which no kernel library of this installation has.",
        _INSTALL,
    ),
    (
        r"XNNPACK Delegate Serialization Format version identifier '(\S+)'",
        "{file} is of another version of the XNNPACK backend ({0}).",
        _REBUILD,
    ),
    (
        r"indices_ptr\[\d+\] (-?\d+) (?:>= weight.size\(0\) (\d+)|< 0)",
        "The index {0} is outside an embedding table of {file}.",
        "Give token ids of its own vocabulary.",
    ),
)


def explained(path: Path, action: Callable[[], _R]) -> _R:
    """``action()``; its log is kept from the screen. Raises RunnerError with the cause."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        before = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            # It writes to Python's stream in some calls, to the descriptor in others.
            with contextlib.redirect_stderr(log):
                return action()
        except RuntimeError as error:
            log.seek(0)
            raise explain(path, log.read(), error) from None
        finally:
            os.dup2(before, 2)
            os.close(before)


def explain(path: Path, log: str, error: Exception) -> RunnerError:
    """The error for the user; a log that no rule knows is given in its own words."""
    lines = [line for line in log.splitlines() if not _NOISE.search(line)]
    for pattern, cause, next_step in _CAUSES:
        for line in lines:
            if found := re.search(pattern, line):
                return RunnerError(cause.format(*found.groups(), file=path.name), next_step)
    words = _PLACE.sub("", lines[0]) if lines else "its log says nothing"
    return RunnerError(
        f"ExecuTorch failed on {path.name}: {str(error).rstrip('.')} ({words.rstrip('.: ')}).",
        f"If other files run, that one is at fault. {_REBUILD}",
    )
