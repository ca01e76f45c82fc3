"""Keeps what a lowering leaves behind, prints and sets away from the rest of the process."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from exporter.targets.executorch.lower import quietly


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
