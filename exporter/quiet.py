"""Keeps what the toolchains print, log, set and leave behind away from users."""

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without the libraries' warnings, logs and remarks on standard error."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Silence, the root logger as it was, and a folder for temporary files that goes afterwards.

    The toolchains print to both streams, set the root logger's level as they are imported, and
    leave folders behind that only the end of the process (or nothing) removes.
    """
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    chosen, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        quietly(),
    ):
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        try:
            yield
        finally:
            tempfile.tempdir = chosen
            if variable is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = variable
            root.setLevel(level)
            root.handlers[:] = handlers


@contextlib.contextmanager
def native_errors_into(log: IO[Any]) -> Iterator[io.StringIO]:
    """Standard error goes into the open file ``log`` where native code writes it to the descriptor,
    and into the stream that this yields where it comes through Python.
    """
    # The stream is never closed: another thread (a progress line) may have got hold of it.
    stream = io.StringIO()
    sys.stderr.flush()
    screen = os.dup(2)
    try:
        os.dup2(log.fileno(), 2)
        with contextlib.redirect_stderr(stream):
            yield stream
    finally:
        os.dup2(screen, 2)
        os.close(screen)


@contextlib.contextmanager
def without_native_errors() -> Iterator[None]:
    """Without what native code writes, through Python or past it, to standard error."""
    with Path(os.devnull).open("w") as nowhere, native_errors_into(nowhere):
        yield
