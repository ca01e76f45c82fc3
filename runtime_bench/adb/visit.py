"""A run's stay on a phone: it leaves the phone as it found it, or says what it could not undo."""

from collections.abc import Set as AbstractSet

from runtime_bench.adb import staging
from runtime_bench.adb.client import QUESTION_LIMIT, Adb
from runtime_bench.adb.presence import Presence, dead_runs
from runtime_bench.adb.readiness import Readiness, Undo
from runtime_bench.devices.base import BenchWarning
from runtime_bench.errors import BenchError
from runtime_bench.progress import say

# Seconds for each further step on a phone that failed one.
_IMPATIENT = 5.0


class Visit:
    """Everything that a run puts on a phone lies in ``folder``, which ``end`` removes."""

    def __init__(self, adb: Adb) -> None:
        self._adb = adb
        self.folder = staging.new_folder()
        self._presence = Presence(adb, self.folder)
        self._readiness = Readiness(adb, self.folder)
        self._there = False

    @property
    def fixed(self) -> AbstractSet[int]:
        """The cores whose clocks are fixed for this run."""
        return self._readiness.fixed

    def begin(self) -> tuple[BenchWarning, ...]:
        """Clear up after earlier runs and get the phone ready; what could not be had.

        However it ends, ``end`` undoes it. Raises GateError while another run measures the phone,
        RunnerError where the phone does not write, DeviceError where it is lost.
        """
        self._there = True
        self._presence.show()
        dead = dead_runs(self._adb, self.folder)
        for folder in dead:
            staging.kill_runners(self._adb, folder)
        self._readiness.take_over(dead)
        for folder in dead:
            staging.remove(self._adb, folder)
        return self._readiness.get_ready()

    def make_folder(self) -> None:
        """The run's folder, where ``begin`` did not make it."""
        self._there = True
        staging.make_folders(self._adb, [self.folder])

    def refresh(self) -> None:
        """Show other runs that this one goes on."""
        self._presence.refresh()

    def end(self) -> None:
        """Undo everything; says what stayed on the phone, and the command that undoes it.

        The folder stays where a setting could not be put back: the next run finds it there.
        """
        if not self._there:
            return
        kill = staging.kill_text(self.folder)
        removal = Undo(
            f"the folder {self.folder}",
            staging.remove_text(self.folder),
            lambda answer: answer.code == 0,
            self._forget,
        )
        settings = self._readiness.undo()
        # (A command that kills fails where nothing runs.)
        missing = [Undo("processes of this run", kill, lambda _: True), *settings, removal]
        failed: list[Undo] = []
        limit = QUESTION_LIMIT
        try:
            while missing and not (missing[0] is removal and set(settings).intersection(failed)):
                try:
                    answer = self._adb.shell(missing[0].command, limit)
                    succeeded = missing[0].succeeded(answer)
                except BenchError:
                    succeeded, limit = False, _IMPATIENT
                undo = missing.pop(0)
                if succeeded:
                    undo.forget()
                else:
                    failed.append(undo)
        finally:
            self._presence.withdraw()
            for undo in (*failed, *missing):
                self._say_kept(undo)

    def _forget(self) -> None:
        self._there = False

    def _say_kept(self, undo: Undo) -> None:
        say(
            f"Warning: the phone {self._adb.serial} may keep {undo.keeps}. The next run on it "
            f"undoes that, or by hand: {self._adb.typed('shell', undo.command)}"
        )
