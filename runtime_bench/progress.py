"""Progress on standard error: one changing line on a terminal, one line a step elsewhere."""

import sys
from types import TracebackType

from rich.console import Console


def say(text: str) -> None:
    """One line for the user, on standard error."""
    print(text, file=sys.stderr)


class Progress:
    """Shows what is going on; use it as a context manager."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        # The spinner is redrawn twice a second only: drawing is load beside the measurement.
        self._status = (
            console.status("starting", refresh_per_second=2) if sys.stderr.isatty() else None
        )

    def show(self, text: str) -> None:
        if self._status is not None and not text.startswith("failed"):
            self._status.update(text)
        else:
            say(text)

    def stop(self) -> None:
        if self._status is not None:
            self._status.stop()

    def __enter__(self) -> "Progress":
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
