"""What a long command is doing, for whoever waits for it."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape

Detail = Callable[[str], None]


class Progress(Protocol):
    """Told about every step of a long command."""

    def step(self, name: str) -> AbstractContextManager[Detail]:
        """Around one step; the function it gives reports how far the step is."""
        ...

    def note(self, text: str) -> None:
        """One line that is no step."""
        ...


class SilentProgress:
    """Says nothing."""

    @contextmanager
    def step(self, name: str) -> Iterator[Detail]:  # noqa: ARG002
        yield lambda _: None

    def note(self, text: str) -> None:
        pass


class ConsoleProgress:
    """Prints each finished step with its elapsed time; on a terminal also the running one."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, name: str) -> Iterator[Detail]:
        started = time.monotonic()
        with self._console.status(escape(name)) as status:

            def detail(text: str) -> None:
                elapsed = time.monotonic() - started
                status.update(escape(f"{name}: {text} ({elapsed:.0f} s)"))

            try:
                yield detail
            except BaseException:
                self._line("stopped", name, started)
                raise
        self._line("done", name, started)

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _line(self, outcome: str, name: str, started: float) -> None:
        elapsed = time.monotonic() - started
        self.note(f"{elapsed:7.1f} s  {outcome}  {name}")
