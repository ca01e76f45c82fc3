"""Results files: one record (records.py) a line, every sample kept.

A file holds one run. Its first line is the ``run`` record (plan, device, versions, artifacts with
their hashes); then follow the other records in the order in which things happened, and ``end``.
Lines are only ever appended, so an interrupted run keeps what it measured; a last line that was cut
off is dropped when the run goes on.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TextIO, TypeVar

from runtime_bench.devices.base import BenchWarning
from runtime_bench.errors import InputError
from runtime_bench.records import (
    KINDS,
    SCHEMA,
    BlockRecord,
    CheckRecord,
    ConditionsRecord,
    EndRecord,
    FailureRecord,
    InstructionsRecord,
    LoadRecord,
    PauseRecord,
    Record,
    ResumeRecord,
    RunRecord,
    SlowdownRecord,
    StartRecord,
    WarmUpRecord,
)

_R = TypeVar("_R")


@dataclass(frozen=True)
class Results:
    """A results file in memory. ``cut_off`` says that its last line was incomplete.

    ``blocks`` are those that count; ``dropped_blocks`` those of rounds that were measured again.
    """

    run: RunRecord
    loads: tuple[LoadRecord, ...] = ()
    warm_ups: tuple[WarmUpRecord, ...] = ()
    checks: tuple[CheckRecord, ...] = ()
    starts: tuple[StartRecord, ...] = ()
    blocks: tuple[BlockRecord, ...] = ()
    dropped_blocks: tuple[BlockRecord, ...] = ()
    conditions: tuple[ConditionsRecord, ...] = ()
    slowdowns: tuple[SlowdownRecord, ...] = ()
    pauses: tuple[PauseRecord, ...] = ()
    instructions: tuple[InstructionsRecord, ...] = ()
    failures: tuple[FailureRecord, ...] = ()
    resumes: tuple[ResumeRecord, ...] = ()
    ends: tuple[EndRecord, ...] = ()
    cut_off: bool = False


class ResultsWriter:
    """Appends records to a file, each flushed at once. Use it as a context manager."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            if resume:
                _drop_cut_off_line(path)
            self._stream: TextIO = path.open("a" if resume else "x", encoding="utf-8")
        except FileExistsError:
            raise already_there(path) from None
        except OSError as error:
            raise _unwritable(path, error) from None

    def write(self, record: Record) -> None:
        try:
            self._stream.write(json.dumps({"schema": SCHEMA, **asdict(record)}) + "\n")
            self._stream.flush()
        except OSError as error:
            raise _unwritable(self._path, error) from None

    def __enter__(self) -> "ResultsWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._stream.close()
        except OSError as failure:
            # A full disk has been reported by the write already; what it holds up stays unwritten.
            if error is None:
                raise _unwritable(self._path, failure) from None


def read_results(path: Path) -> Results:
    """Read a results file; raises InputError when it is missing, or no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.",
            f"Measure with: squeezebert-bench run BUNDLE --out {path}",
        ) from None
    cut_off = bool(lines) and not lines[-1].endswith("\n")
    records = [
        _record(path, number, line)
        for number, line in enumerate(lines[:-1] if cut_off else lines, start=1)
    ]
    if not records or not isinstance(records[0], RunRecord):
        raise InputError(
            f"{path} does not begin with a run record of {SCHEMA}.",
            f"Measure again with: squeezebert-bench run BUNDLE --out {path}",
        )
    rest = records[1:]
    slowdowns = _of(rest, SlowdownRecord)
    slow = {(item.length, item.threads, item.round): item for item in slowdowns}
    kept: list[BlockRecord] = []
    left_out: list[BlockRecord] = []
    for block in _of(rest, BlockRecord):
        found = slow.get((block.length, block.threads, block.round))
        if found is None:
            kept.append(block)
        elif found.dropped:
            left_out.append(block)
        else:
            kept.append(replace(block, throttled=found.reason))
    return Results(
        run=records[0],
        loads=_of(rest, LoadRecord),
        warm_ups=_of(rest, WarmUpRecord),
        checks=_of(rest, CheckRecord),
        starts=_of(rest, StartRecord),
        blocks=tuple(kept),
        dropped_blocks=tuple(left_out),
        conditions=_of(rest, ConditionsRecord),
        slowdowns=slowdowns,
        pauses=_of(rest, PauseRecord),
        instructions=_of(rest, InstructionsRecord),
        failures=_of(rest, FailureRecord),
        resumes=_of(rest, ResumeRecord),
        ends=_of(rest, EndRecord),
        cut_off=cut_off,
    )


def parse_record(line: str) -> Record:
    """The record that ``line`` holds; raises ValueError where it holds none."""
    try:
        values = json.loads(line)
        if values.pop("schema") != SCHEMA:
            raise ValueError(f"the schema is not {SCHEMA}")
        kind = KINDS[values["kind"]]
        if "warnings" in values:
            values["warnings"] = [BenchWarning(**item) for item in values["warnings"]]
        frozen = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        record: Record = kind(**frozen)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None
    return record


def already_there(path: Path) -> InputError:
    """The error for a results file that a new run would overwrite."""
    return InputError(
        f"{path} exists already.",
        "Go on with it by adding --resume, or choose another file with --out.",
    )


def _of(records: Sequence[Record], kind: type[_R]) -> tuple[_R, ...]:
    return tuple(record for record in records if isinstance(record, kind))


def _record(path: Path, number: int, line: str) -> Record:
    try:
        return parse_record(line)
    except ValueError as error:
        raise InputError(
            f"{path}, line {number}, is no {SCHEMA} record ({error}).",
            "Remove that line, or measure again with: squeezebert-bench run",
        ) from None


def _drop_cut_off_line(path: Path) -> None:
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as stream:
            stream.truncate(content.rfind(b"\n") + 1)


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path} cannot be written: {error.strerror}.",
        "Choose a writable place with enough room: --out FILE",
    )
