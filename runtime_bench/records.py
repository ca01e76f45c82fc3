"""The result record, ``squeezebert-record/1``: what one line of a results file says.

Times are in nanoseconds, sizes in bytes, moments UTC in ISO 8601. The JSON Schema is
``schema/record.schema.json``; ``results.py`` writes and reads the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime_bench.devices.base import BenchWarning

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
    """A model was opened. ``rss_before_bytes`` is what the runner itself took before that.

    An emulated device has neither times nor memory of its own: None.
    """

    entry: str
    threads: int
    load_ns: int | None
    rss_before_bytes: int | None
    peak_rss_bytes: int | None
    versions: Mapping[str, str]
    cpus_asked: tuple[int, ...] = ()
    cpus_got: tuple[int, ...] = ()
    kind: str = "load"


@dataclass(frozen=True)
class StartRecord:
    """A process of its own that opened the model and ran it once.

    ``cold``: the model's file was to leave the system's page cache before. ``cached_bytes``: what
    of it stayed there all the same; None where the runner does not tell.
    """

    entry: str
    length: int
    threads: int
    repeat: int
    cold: bool
    load_ns: int
    first_inference_ns: int
    cached_bytes: int | None = None
    kind: str = "start"


@dataclass(frozen=True)
class WarmUpRecord:
    """The first inference at a length, its outputs, and the runs until the time was steady."""

    entry: str
    length: int
    threads: int
    first_inference_ns: int | None
    steady: bool | None
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
    Both are None where the device does not tell.
    ``before`` and ``after``: clocks and temperatures that the runner itself saw. ``energy_uj``: the
    device's own meter over the whole block, lead-in included; None where it has none.
    ``throttled``: why the round is suspect although it counts; a file tells it by ``slowdown``.
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
    other_load: float | None
    stolen: float | None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    pss_bytes: int | None = None
    energy_uj: float | None = None
    throttled: str | None = None
    kind: str = "block"


@dataclass(frozen=True)
class ConditionsRecord:
    """The device before, between and after the rounds of a case, as it tells itself."""

    at: str
    length: int | None
    threads: int | None
    conditions: Mapping[str, Any]
    kind: str = "conditions"


@dataclass(frozen=True)
class SlowdownRecord:
    """The device slowed down in a round, which counts for nothing where ``dropped``."""

    at: str
    length: int
    threads: int
    round: int
    reason: str
    dropped: bool
    kind: str = "slowdown"


@dataclass(frozen=True)
class PauseRecord:
    """The run waited after round ``dropped``, until the device had recovered or time was up."""

    at: str
    length: int
    threads: int
    dropped: int
    reason: str
    waited_s: float
    recovered: bool
    kind: str = "pause"


@dataclass(frozen=True)
class InstructionsRecord:
    """Executed instructions of single inferences on an emulated device. This is never a time.

    Each of ``inferences`` has "total" and a count for each class: "dot" (SDOT, UDOT), "matrix"
    (SMMLA, UMMLA, USMMLA), "fmla" (FMLA) and "other". ``phases`` has the same of loading and of the
    first inference.
    """

    entry: str
    length: int
    threads: int
    profile: str
    inferences: tuple[Mapping[str, int], ...]
    phases: Mapping[str, Mapping[str, int]]
    kind: str = "instructions"


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
    | StartRecord
    | BlockRecord
    | ConditionsRecord
    | SlowdownRecord
    | PauseRecord
    | InstructionsRecord
    | FailureRecord
    | ResumeRecord
    | EndRecord
)

KINDS: Mapping[str, type[Any]] = {
    "run": RunRecord,
    "load": LoadRecord,
    "warm_up": WarmUpRecord,
    "check": CheckRecord,
    "start": StartRecord,
    "block": BlockRecord,
    "conditions": ConditionsRecord,
    "slowdown": SlowdownRecord,
    "pause": PauseRecord,
    "instructions": InstructionsRecord,
    "failure": FailureRecord,
    "resume": ResumeRecord,
    "end": EndRecord,
}
