"""What can go wrong with a phone, as settings: where, at which occasion, and what happens then."""

import contextlib
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

# Occasions. "request" and "answer" are lines to and from a runner, the others speak for themselves.
PUSH, PULL, COMMAND, REQUEST, ANSWER = "push", "pull", "command", "request", "answer"
# What happens.
CUT = "the cable is pulled"
HANG = "nothing comes any more"
FULL = "no space is left"
FLIP = "a bit changes on the way"
SAY = "the text comes in its place"
KILL = "the runner is killed"
CALL = "something else happens"


@dataclass(frozen=True)
class Fault:
    """``happens`` at the ``time``-th occasion (None: at each) whose subject holds ``matching``.

    The subject of a transfer is the path, of a command the command line, otherwise the line itself.
    ``text`` and ``code`` belong to SAY, ``number`` is KILL's signal, ``call`` what CALL does.
    """

    occasion: str
    happens: str
    matching: str = ""
    time: int | None = 1
    text: str = ""
    code: int = 0
    number: int = signal.SIGKILL
    call: Callable[[], object] = lambda: None


class Faults:
    """The faults that a phone has now, and how often each had its occasion."""

    def __init__(self) -> None:
        self._counts: dict[Fault, int] = {}
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        self._counts[fault] = 0

    def clear(self) -> None:
        self._counts.clear()

    def happened(self) -> bool:
        """Whether the time of every fault came."""
        return all(count >= (fault.time or 1) for fault, count in self._counts.items())

    def at(self, occasion: str, subject: str) -> Fault | None:
        """The fault that happens now."""
        found = None
        with self._lock:
            for fault in list(self._counts):
                if fault.occasion == occasion and fault.matching in subject:
                    self._counts[fault] += 1
                    if fault.time in (None, self._counts[fault]):
                        found = fault
        if found is not None and found.happens == CALL:
            with contextlib.suppress(OSError):
                found.call()
            return None
        return found
