"""A runner on a phone: a LocalRunner around the adb client, whose death is looked into."""

import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime_bench.adb.client import Adb
from runtime_bench.adb.failures import failure, killed, last_line, lost
from runtime_bench.errors import BenchError, DeviceError, RunnerError
from runtime_bench.runners.client import Answer, LocalRunner

LOADER = "ld-linux-aarch64.so.1"
_NEXT = "Try that artifact alone to see whether it repeats."
# With these the adb client ends when the connection breaks. A runner ends with neither while it is
# asked something.
_BROKEN_CONNECTION = (0, 255)
_SIGNALLED = 128
# Seconds for a phone that may be gone.
_KILL_LIMIT = 5.0


def start_text(folder: str, executable: str, process_file: str, *, bundled: bool) -> str:
    """The phone's command for a runner; ``process_file`` then holds its process id.

    ``bundled``: with a C library of its own, by whose loader it is started.
    """
    start = (
        f"{folder}/{LOADER} --library-path . {folder}/{executable}"
        if bundled
        else f"env LD_LIBRARY_PATH=. {folder}/{executable}"
    )
    return f"cd {folder} && echo $$ > {process_file} && exec {start}"


def kill_text(folder: str, process_file: str) -> str:
    """The phone's command that ends one runner."""
    return f"kill -9 $(cat {folder}/{process_file})"


class PhoneRunner(LocalRunner):
    """A runner on the phone of ``adb``.

    Where adb rather than the runner ended, requests raise DeviceError.
    """

    def __init__(
        self,
        adb: Adb,
        start: str,
        kill: str,
        limit: float,
        check_alive: Callable[[], None],
    ) -> None:
        self._adb, self._kill, self._check_alive = adb, kill, check_alive
        super().__init__(adb.shell_command(start), limit)

    def request(self, command: Mapping[str, Any], limit: float) -> Answer:
        try:
            return super().request(command, limit)
        except RunnerError:
            # A runner that is silent may be out of reach.
            if self._process.poll() is None:
                self._check_alive()
            raise

    def close(self) -> None:
        """End it on the phone too, where a lost connection or an endless loop left it."""
        running = self._process.poll() is None
        super().close()
        if running:
            with contextlib.suppress(BenchError):
                self._adb.shell(self._kill, _KILL_LIMIT)

    def _death(self) -> RunnerError:
        code = self._process.wait()
        self._log.seek(0)
        log = self._log.read().decode(errors="replace")
        cause = failure(self._adb.serial, log)
        if isinstance(cause, DeviceError):
            raise cause
        if code < 0:
            raise killed(-code)
        if code in _BROKEN_CONNECTION:
            self._check_alive()
            raise lost(f"The connection to the phone {self._adb.serial}")
        return RunnerError(*_explain(code, log))


def _explain(code: int, log: str) -> Sequence[str]:
    said = f": {last_line(log)}" if log.strip() else ""
    if _SIGNALLED < code < _SIGNALLED + signal.NSIG:
        name = signal.Signals(code - _SIGNALLED).name
        hint = _NEXT
        if code - _SIGNALLED == signal.SIGKILL:
            hint = "If its memory ran out, measure fewer artifacts at once."
        return f"The runner on the phone was ended by {name}{said}.", hint
    return f"The runner on the phone ended with code {code}{said}.", _NEXT
