"""What the ExecuTorch runtime writes to standard error: kept from the screen, and read for causes.

Its exceptions carry a number only, which several causes share; names are in the log.
"""

import re
import tempfile
from collections.abc import Callable
from typing import TypeVar

from exporter.errors import REBUILD
from exporter.quiet import native_errors_into

Result = TypeVar("Result")

_INSTALL = "Install the versions of this project: pip install -r requirements.lock"

#: What a line of the log means, and the next step. The first rule that fits any line counts.
_LINES = (
    (r"Failed to open \S+: ([^(]+?)(?: \(\d+\))?$", "{0}", "Check the path."),
    (r"Program identifier '(ET..)' != expected '(ET..)'", "its format is {0}, not {1}", REBUILD),
    (r"Program identifier '", "it is no .pte file", REBUILD),
    (r"File size is too small|exceeds file size|file_size_", "it is cut off", REBUILD),
    (r"Verification failed", "it is damaged", REBUILD),
    (r"Backend (\S+) is not registered", "this installation has no backend {0}", _INSTALL),
    (r"Missing operator: \[\d+\] (\S+)", "this installation has no kernel for {0}", _INSTALL),
    (r"XNNPACK Delegate Serialization Format", "it is of another version of XNNPACK", REBUILD),
)

#: Where the log names nothing: codes of executorch/runtime/core/error.h.
_CODES = {
    0x14: ("this installation lacks a kernel that it needs", _INSTALL),
    0x21: ("memory ran out", "Close other programs."),
    0x23: ("it is damaged, or of another version", REBUILD),
    0x30: ("it is of another version of the backend", REBUILD),
    0x31: ("memory ran out", "Close other programs."),
}


class NativeError(Exception):
    """The runtime refused: ``cause`` completes "FILE cannot be run: "."""

    def __init__(self, cause: str, next_step: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.next_step = next_step


def listen(action: Callable[[], Result]) -> Result:
    """``action()``, and nothing of the runtime's log on the screen. Raises NativeError."""
    # Some calls write to Python's stream, others to the descriptor.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        try:
            with native_errors_into(log) as stream:
                return action()
        except RuntimeError as error:
            log.seek(0)
            lines = [*log.read().splitlines(), *stream.getvalue().splitlines()]
            raise _explained(lines, str(error)) from error


def _explained(log: list[str], message: str) -> NativeError:
    for pattern, cause, next_step in _LINES:
        for line in log:
            if found := re.search(pattern, line):
                return NativeError(cause.format(*found.groups()), next_step)
    code = re.search(r"error: 0x([0-9a-fA-F]+)", message)
    if code and int(code[1], 16) in _CODES:
        return NativeError(*_CODES[int(code[1], 16)])
    text = message.strip().partition("\n")[0].rstrip(".")
    return NativeError(text or "the runtime gives no reason", REBUILD)
