"""A plan measured by the app: sent, started, and followed until it is done."""

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from runtime_bench.adb.client import Adb
from runtime_bench.app import asking
from runtime_bench.app.plan_file import PLAN_FILE, files_by_folder, plan_bytes, plan_document
from runtime_bench.app.run_folder import RECORDS_FILE, Look, RunFolder, State
from runtime_bench.errors import BenchError, DeviceError
from runtime_bench.header import lasting
from runtime_bench.plan import Plan, Settings
from runtime_bench.records import EndRecord, FailureRecord, Record, RunRecord
from runtime_bench.results import parse_record
from runtime_bench.right_answers import RightAnswers

Write = Callable[[Record], None]
Show = Callable[[str], None]

# Seconds between two looks. Each costs the phone a short process on one of its cores; a block takes
# half a second by default.
LOOK_STEP = 5.0
# Seconds until the app has said anything about its run.
_FIRST_STATE = 60.0
# Looks in a row without the app's process, after which it has ended: one may fall between.
_MISSED = 2
_AGAIN = "Go on with the same command and --resume."


def measure(
    adb: Adb,
    folder: RunFolder,
    plan: Plan,
    head: RunRecord,
    answers: RightAnswers,
    write: Write,
    show: Show,
    earlier: Path | None,
    refresh: Callable[[], None],
) -> tuple[str, ...]:
    """Let the app measure ``plan``, and ``write`` every record that it makes, as it comes.

    ``head`` is this run's record, which is written already; ``earlier`` the results file of the run
    that goes on. What the app measured in the meantime is taken from the phone first. ``refresh``
    shows other runs that this one lives. Gives the ids of the entries that failed. Raises
    DeviceError where the app or the phone is lost, RunnerError where the phone refuses the files.
    """
    record = _Records(plan, head, write, show)
    adb.shell(asking.STOP)
    folder.remove_others()
    if earlier is not None:
        record.take(folder.lines_after(earlier.read_bytes().count(b"\n")))
        if record.failed is not None:
            return record.failed
    show("computing the right answers on this machine")
    document = plan_document(plan, head, answers)
    show("bringing the models to the phone")
    asking.make_folder(adb, folder.name)
    folder.push(files_by_folder(plan))
    offset = 0
    if earlier is not None:
        content = earlier.read_bytes()
        folder.write(RECORDS_FILE, content)
        offset = len(content)
        record.head_is_due = False
    folder.forget_state()
    folder.write(PLAN_FILE, plan_bytes(document))
    asking.start(adb, folder.name)
    return _follow(folder, record, _Watch(adb, plan.settings, show), offset, refresh)


def _follow(
    folder: RunFolder,
    record: "_Records",
    watch: "_Watch",
    offset: int,
    refresh: Callable[[], None],
) -> tuple[str, ...]:
    try:
        while True:
            refresh()
            look = folder.look(offset)
            offset += look.size
            record.take(look.lines)
            if watch.ended(look):
                break
            time.sleep(LOOK_STEP)
    except KeyboardInterrupt:
        # What the app wrote since the last look is worth keeping; the phone may be gone as well.
        with contextlib.suppress(BenchError):
            watch.stop()
            record.take(folder.look(offset).lines)
        raise
    if record.failed is None:
        raise DeviceError("The app says that it is done, but its records do not end.", _AGAIN)
    return record.failed


class _Records:
    """The app's records on their way into the results file.

    Line for line they are those of the phone's file, whose first one is the app's own run record.
    ``failed`` are the entries that the end names, None before it came.
    """

    def __init__(self, plan: Plan, head: RunRecord, write: Write, show: Show) -> None:
        self._plan, self._head, self._write, self.show = plan, head, write, show
        self.head_is_due = True
        self.failed: tuple[str, ...] | None = None

    def take(self, lines: Sequence[str]) -> None:
        for line in lines:
            try:
                record = parse_record(line)
            except ValueError as error:
                raise DeviceError(
                    f"The app wrote {line[:60]!r}, which is no record ({error}).",
                    "Install the app that belongs to this version (make apk), then measure anew "
                    "with another --out.",
                ) from None
            self._take(record)

    def _take(self, record: Record) -> None:
        if isinstance(record, RunRecord):
            self._check_head(record)
            return
        self._write(record)
        if isinstance(record, FailureRecord):
            label = self._plan.entry(record.entry).label
            self.show(f"failed: {label}: {record.reason}")
        elif isinstance(record, EndRecord):
            self.failed = record.failed

    def _check_head(self, found: RunRecord) -> None:
        """The app has to measure what it was told: its record says what it understood."""
        mine, its = (
            {**_plain(record), "device": lasting(record.device)} for record in (self._head, found)
        )
        for what in ("entries", "lengths", "threads", "settings", "device", "versions"):
            if not self.head_is_due or mine[what] != its[what]:
                raise DeviceError(
                    f"The app measures something else than it was told ({what}: {its[what]}).",
                    "Install the app that belongs to this version: make apk",
                )
        self.head_is_due = False


class _Watch:
    """Whether the app goes on."""

    def __init__(self, adb: Adb, settings: Settings, show: Show) -> None:
        self._adb, self._show = adb, show
        # The longest step of a run that says nothing in between.
        self._patience = settings.step_limit + settings.warm_up_limit + settings.seconds_per_block
        self._moved = time.monotonic()
        self._state: State | None = None
        self._process: int | None = None
        self._missed = 0

    def ended(self, look: Look) -> bool:
        """Whether it is done; raises DeviceError where it ended otherwise, or does not go on."""
        state = look.state
        if state is not None and state.kind != "running":
            if state.kind != "done":
                raise self._stopped(state)
            return True
        if state != self._state or look.lines:
            self._moved = time.monotonic()
        if state is not None and state.text and state != self._state:
            rounds = f" ({state.done} of {state.total} rounds)" if state.total else ""
            self._show(f"{state.text}{rounds}")
        self._state = state
        self._look_after(look.process)
        waited = time.monotonic() - self._moved
        if state is None and waited > _FIRST_STATE:
            raise DeviceError(
                f"The app on the phone {self._serial} said nothing about its run within "
                f"{_FIRST_STATE:.0f} s.",
                "Unlock the phone, open the app by hand to see whether it starts, then go on with "
                "--resume.",
            )
        if waited > self._patience:
            raise DeviceError(
                f"The app on the phone {self._serial} has not gone on for {waited:.0f} s"
                f"{self._last()}.",
                f"{_AGAIN} If it stops there again, leave that artifact out with --artifacts and "
                "another --out.",
            )
        return False

    def stop(self) -> None:
        self._adb.shell(asking.STOP)

    @property
    def _serial(self) -> str:
        return str(self._adb.serial)

    def _look_after(self, process: int | None) -> None:
        self._missed = self._missed + 1 if process is None else 0
        again = process is not None and self._process not in (None, process)
        if self._missed >= _MISSED or again:
            raise DeviceError(
                f"The app on the phone {self._serial} ended{' and began anew' if again else ''} "
                f"in the middle of its run{self._last()}.",
                "See why with: "
                + self._adb.typed("logcat", "-d", "-b", "crash")
                + f" {_AGAIN} If it ends there again, leave that artifact out with --artifacts "
                "and another --out.",
            )
        self._process = process or self._process

    def _last(self) -> str:
        return f" (last: {self._state.text})" if self._state is not None else ""

    def _stopped(self, state: State) -> DeviceError:
        if state.kind == "cancelled":
            return DeviceError(
                f"The run was cancelled on the phone {self._serial}.",
                _AGAIN,
            )
        verb = "refused the run" if state.kind == "refused" else "could not go on"
        return DeviceError(
            f"The app on the phone {self._serial} {verb}: {state.reason}", state.next_step
        )


def _plain(record: RunRecord) -> Mapping[str, object]:
    """As JSON gives it back: lists for tuples."""
    found: Mapping[str, object] = json.loads(json.dumps(asdict(record)))
    return found
