"""The time of a search: how much is left, and what was left out because it was over."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from exporter.progress import Detail, Progress


class Clock:
    """Runs from the moment when it is made. ``cuts`` say before what the time was over."""

    def __init__(self, seconds: float, progress: Progress) -> None:
        self._seconds, self._progress = seconds, progress
        self._started = time.monotonic()
        self.cuts: list[str] = []

    def left(self) -> float:
        """Seconds; below 0 when the time is over."""
        return self._seconds - (time.monotonic() - self._started)

    def cut(self, what: str) -> None:
        """Keep once that the time was over before ``what`` (such as "all mixes were built")."""
        if what not in self.cuts:
            self.cuts.append(what)

    @contextmanager
    def step(self, name: str) -> Iterator[Detail]:
        """A step whose progress also says how much of the time is left."""
        with self._progress.step(name) as detail:

            def with_time(text: str) -> None:
                detail(f"{text}; about {max(0.0, self.left()) / 60:.0f} min left")

            yield with_time
