"""The result record, ``squeezebert-record/1``: one JSON object a line, every sample kept.

A file holds one run. Its first line is the ``run`` record (plan, device, versions, artifacts with
their hashes); then follow ``load``, ``warm_up``, ``check``, ``block``, ``failure`` and ``resume``
records in the order in which things happened, and ``end``. The JSON Schema is
``schema/record.schema.json``. Lines are only ever appended, so an interrupted run keeps what it
measured; a last line that was cut off is dropped when the run goes on.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, TypeVar

from runtime_bench.devices.base import BenchWarning
from runtime_bench.errors import InputError

SCHEMA = "squeezebert-record/1"


@dataclass(frozen=True)
class RunRecord:
    """The head of a file. Times are UTC, ISO 8601; ``entries`` as ``entry_document`` gives them."""

    started: str
    command: tuple[str, ...]
    device: Mapping[str, Any]
    versions: Mapping[str, str]
    lengths: tuple[int, ...]
    threads: tuple[int, ...]
    settings: Mapping[str, Any]
    entries: tuple[Mapping[str, Any], ...]
    warnings: tuple[BenchWarning, ...]
    notices: tuple[str, ...]
    kind: str = "run"


@dataclass(frozen=True)
class LoadRecord:
    """A model was opened. ``rss_before_bytes`` is what the runner itself took before that."""

    entry: str
    threads: int
    load_ns: int
    rss_before_bytes: int
    peak_rss_bytes: int
    versions: Mapping[str, str]
    kind: str = "load"


@dataclass(frozen=True)
class WarmUpRecord:
    """The first inference at a length, its outputs, and the runs until the time was steady."""

    entry: str
    length: int
    threads: int
    first_inference_ns: int
    steady: bool
    wall_ns: tuple[int, ...]
    outputs: Mapping[str, Any]
    kind: str = "warm_up"


@dataclass(frozen=True)
class CheckRecord:
    """Outputs of an artifact beside those of ``reference``, another artifact of the same bundle.

    None: the outputs cannot be compared.
    """

    entry: str
    reference: str
    length: int
    threads: int
    cosine: float | None
    largest_difference: float | None
    kind: str = "check"


@dataclass(frozen=True)
class BlockRecord:
    """Samples of one entry in one round: wall and CPU nanoseconds of every inference, in order.

    ``position`` is the place in the round's order. ``other_load`` is the number of cores that
    other processes kept busy during the block, ``stolen`` the cores the hypervisor took.
    ``lead_in_ns`` are the first runs after the other entries computed; statistics leave them out.
    """

    entry: str
    length: int
    threads: int
    round: int
    position: int
    started: str
    lead_in_ns: tuple[int, ...]
    wall_ns: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    peak_rss_bytes: int
    other_load: float
    stolen: float
    kind: str = "block"


@dataclass(frozen=True)
class FailureRecord:
    """An entry that is out of the run from here on, and why."""

    entry: str
    threads: int
    length: int | None
    stage: str
    reason: str
    kind: str = "failure"


@dataclass(frozen=True)
class ResumeRecord:
    """The run was interrupted before this line and goes on after it."""

    started: str
    warnings: tuple[BenchWarning, ...]
    kind: str = "resume"


@dataclass(frozen=True)
class EndRecord:
    """Everything that was planned was measured, apart from the ``failed`` entries."""

    ended: str
    failed: tuple[str, ...]
    kind: str = "end"


Record = (
    RunRecord
    | LoadRecord
    | WarmUpRecord
    | CheckRecord
    | BlockRecord
    | FailureRecord
    | ResumeRecord
    | EndRecord
)
_R = TypeVar("_R")
_KINDS: Mapping[str, type[Any]] = {
    "run": RunRecord,
    "load": LoadRecord,
    "warm_up": WarmUpRecord,
    "check": CheckRecord,
    "block": BlockRecord,
    "failure": FailureRecord,
    "resume": ResumeRecord,
    "end": EndRecord,
}


@dataclass(frozen=True)
class Results:
    """A results file in memory. ``cut_off`` says that its last line was incomplete."""

    run: RunRecord
    loads: tuple[LoadRecord, ...] = ()
    warm_ups: tuple[WarmUpRecord, ...] = ()
    checks: tuple[CheckRecord, ...] = ()
    blocks: tuple[BlockRecord, ...] = ()
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
            raise InputError(
                f"{path} exists already.",
                "Go on with it by adding --resume, or choose another file with --out.",
            ) from None
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
    return Results(
        run=records[0],
        loads=_of(rest, LoadRecord),
        warm_ups=_of(rest, WarmUpRecord),
        checks=_of(rest, CheckRecord),
        blocks=_of(rest, BlockRecord),
        failures=_of(rest, FailureRecord),
        resumes=_of(rest, ResumeRecord),
        ends=_of(rest, EndRecord),
        cut_off=cut_off,
    )


def _of(records: Sequence[Record], kind: type[_R]) -> tuple[_R, ...]:
    return tuple(record for record in records if isinstance(record, kind))


def _record(path: Path, number: int, line: str) -> Record:
    try:
        values = json.loads(line)
        if values.pop("schema") != SCHEMA:
            raise ValueError(f"the schema is not {SCHEMA}")
        kind = _KINDS[values["kind"]]
        if "warnings" in values:
            values["warnings"] = [BenchWarning(**item) for item in values["warnings"]]
        frozen = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        record: Record = kind(**frozen)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}, line {number}, is no {SCHEMA} record ({error}).",
            "Remove that line, or measure again with: squeezebert-bench run",
        ) from None
    return record


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
