"""The schedule's end of a runner: starts it, sends commands, waits no longer than allowed."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from runtime_bench.errors import RunnerError

Answer = Mapping[str, Any]
_NEXT = "Try that artifact alone to see whether it repeats."


class Runner(Protocol):
    """A runner on a device that holds at most one model (the contract: runners/protocol.py)."""

    versions: Mapping[str, str]

    def request(self, command: Mapping[str, Any], limit: float) -> Answer:
        """Send ``command`` and wait for its answer at most ``limit`` seconds.

        Raises RunnerError when the runner died, hung, or answered with an error.
        """
        ...

    def close(self) -> None:
        """End the process and everything it holds; safe to call twice."""
        ...


class LocalRunner:
    """A runner as a process of this machine."""

    def __init__(self, command: Sequence[str], limit: float) -> None:
        # A session of its own: Ctrl-C reaches this process only, which then ends the runners in
        # order and keeps what they measured.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        self._buffer = b""
        self.versions: Mapping[str, str] = {}
        try:
            self.versions = self._answer(limit, "start")["versions"]
        except BaseException:
            self.close()
            raise

    @property
    def process_id(self) -> int:
        return self._process.pid

    def request(self, command: Mapping[str, Any], limit: float) -> Answer:
        if self._process.stdin is None:
            raise RunnerError("The runner has no input.", _NEXT)
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise self._death() from None
        return self._answer(limit, str(command["command"]))

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._log.close()

    def _answer(self, limit: float, step: str) -> Answer:
        line = self._line(limit, step)
        try:
            answer = json.loads(line)
            event = answer["event"]
        except (ValueError, KeyError, TypeError):
            raise RunnerError(
                f"The runner answered {step!r} with {line[:60]!r}, which is no answer.", _NEXT
            ) from None
        if event == "error" and "next_step" in answer:
            raise RunnerError(_first_line(answer) + ".", str(answer["next_step"]))
        if event == "error":
            raise RunnerError(f"The runner could not {step}: {_first_line(answer)}.", _NEXT)
        return dict(answer)

    def _line(self, limit: float, step: str) -> bytes:
        if self._process.stdout is None:
            raise RunnerError("The runner has no output.", _NEXT)
        descriptor = self._process.stdout.fileno()
        end = time.monotonic() + limit
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                remaining = end - time.monotonic()
                if remaining <= 0 or not selector.select(remaining):
                    raise RunnerError(
                        f"The runner did not answer {step!r} within {limit:.0f} s.",
                        "Give it longer with --step-limit, or leave that artifact out.",
                    )
                chunk = os.read(descriptor, 1 << 16)
                if not chunk:
                    raise self._death()
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _death(self) -> RunnerError:
        code = self._process.wait()
        self._log.seek(0)
        log = self._log.read().decode(errors="replace").strip().splitlines()
        how = (
            f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        )
        hint = _NEXT
        if code == -signal.SIGKILL:
            hint = "If memory ran out (see dmesg), measure fewer artifacts at once."
        return RunnerError(f"The runner {how}{': ' + log[-1] if log else ''}.", hint)


def _first_line(answer: Answer) -> str:
    text = str(answer.get("message", "no reason given")).strip()
    return text.splitlines()[0][:300].rstrip(".") if text else "no reason given"
