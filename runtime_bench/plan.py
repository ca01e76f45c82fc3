"""What is to be measured: artifact x sequence length x threads x device, against which baseline."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from runtime_bench.bundles import Artifact, Bundle, check_hashes, read_bundle
from runtime_bench.errors import InputError
from runtime_bench.labels import unique_labels
from runtime_bench.runners.protocol import LEAD_IN_SECONDS
from runtime_bench.stability import INTERVAL_LIMIT

DEFAULT_LENGTHS = (32, 128, 384)
#: The entry that measures the machine: its id, and its target.
PEAK = "peak"
PEAK_TARGET = "sgemm"
# The size of a feed-forward product of the models measured here, long enough (5 to 10 ms) that
# the cost of a call does not show. Rows, inner size, columns.
PEAK_PRODUCT = (512, 768, 768)


@dataclass(frozen=True)
class Entry:
    """One model in the schedule. ``peak`` entries measure the machine, not a bundle."""

    id: str
    label: str
    roles: tuple[str, ...]
    target: str
    bundle: Bundle | None
    artifact: Artifact | None


class HasRoles(Protocol):
    """Anything that is a subject, a baseline, or both."""

    @property
    def roles(self) -> Sequence[str]: ...


E = TypeVar("E", bound=HasRoles)


def compared(entries: Sequence[E]) -> list[tuple[E, E]]:
    """Every subject with every baseline but itself."""
    return [
        (subject, baseline)
        for subject in entries
        if "subject" in subject.roles
        for baseline in entries
        if "baseline" in baseline.roles and baseline is not subject
    ]


@dataclass(frozen=True)
class Case:
    """What is held fixed while the entries take turns."""

    length: int
    threads: int


@dataclass(frozen=True)
class Settings:
    """How long and how carefully. Times in seconds.

    ``blocks`` is even: every forward order is followed by its reverse (A B B A). Rounds are added
    in such pairs, up to ``most_blocks`` (0: twice ``blocks``), while an interval is wider than
    ``interval_goal`` to either side. ``step_limit`` is the time after which a runner that does not
    answer counts as hung. ``cores``: the cluster that computes. ``starts`` and ``pause_limit`` as
    in ``Usual``.
    """

    blocks: int = 10
    most_blocks: int = 0
    interval_goal: float = INTERVAL_LIMIT
    seconds_per_block: float = 0.5
    minimum_iterations: int = 3
    warm_up_limit: float = 10.0
    step_limit: float = 120.0
    cores: str = "all"
    starts: int = 0
    pause_limit: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Plan:
    """Everything a run does, fixed before it starts. ``notices`` say what was left out and why."""

    device: str
    entries: tuple[Entry, ...]
    lengths: tuple[int, ...]
    threads: tuple[int, ...]
    settings: Settings
    notices: tuple[str, ...]

    def cases(self) -> Iterator[Case]:
        """Threads outermost (a session keeps its threads); lengths ascending, because the peak
        memory of a process only ever grows."""
        for threads in self.threads:
            for length in self.lengths:
                yield Case(length, threads)

    def entry(self, entry_id: str) -> Entry:
        return next(entry for entry in self.entries if entry.id == entry_id)


def make_plan(
    bundles: Sequence[str],
    *,
    baselines: Sequence[str] = (),
    artifacts: Sequence[str] = (),
    lengths: Sequence[int] | None = None,
    threads: Sequence[int] = (1,),
    settings: Settings | None = None,
    device: str = "host",
    targets: AbstractSet[str] = frozenset({"onnx"}),
    peak: bool = True,
) -> Plan:
    """Read the bundles, choose the artifacts, check every hash.

    ``bundles`` and ``baselines`` are ``FOLDER`` or ``FOLDER:ARTIFACT``; ``artifacts`` narrows those
    of ``bundles`` given without one. ``targets`` are those the device has a runner for; ``peak``:
    it measures the machine's matrix products, too. With ``lengths`` None the default ones are
    taken as far as every model's position table reaches.
    Raises InputError for anything that cannot be measured as asked.
    """
    settings = settings or Settings()
    _check_settings(settings, lengths, threads)
    notices: list[str] = []
    roles: dict[tuple[Path, str], list[str]] = {}
    chosen: list[tuple[Bundle, Artifact]] = []
    read: dict[Path, Bundle] = {}
    requests = [(text, "subject", tuple(artifacts)) for text in bundles]
    requests += [(text, "baseline", ()) for text in baselines]
    for text, role, names in requests:
        for bundle, artifact in _choose(text, names, targets, device, read, notices):
            key = (bundle.folder.resolve(), artifact.path)
            if key not in roles:
                chosen.append((bundle, artifact))
            known = roles.setdefault(key, [])
            if role not in known:
                known.append(role)
    if not chosen:
        raise InputError(
            "There is nothing to measure.", "Name a bundle: squeezebert-bench run BUNDLE"
        )
    kept = _fitting_lengths(lengths, [bundle for bundle, _ in chosen], notices)
    for bundle, artifact in chosen:
        check_hashes(bundle, artifact)
    entries = [
        Entry(
            id=f"e{index}",
            label=label,
            roles=tuple(roles[bundle.folder.resolve(), artifact.path]),
            target=artifact.target,
            bundle=bundle,
            artifact=artifact,
        )
        for index, (label, (bundle, artifact)) in enumerate(
            zip(unique_labels(chosen), chosen, strict=True), start=1
        )
    ]
    if peak:
        label = "fp32 matrix product (peak)"
        entries.append(Entry(PEAK, label, ("peak",), PEAK_TARGET, None, None))
    return Plan(device, tuple(entries), kept, tuple(sorted(set(threads))), settings, tuple(notices))


def estimated_seconds(plan: Plan) -> float:
    """At least how long the run takes: blocks, warm-up (about two blocks), loading.

    Slow models take longer, since a block holds ``minimum_iterations`` at least.
    """
    settings = plan.settings
    per_entry = (settings.seconds_per_block + LEAD_IN_SECONDS) * (settings.blocks + 2)
    loads = 2.0 * len(plan.entries) * len(plan.threads)
    models = sum(entry.artifact is not None for entry in plan.entries)
    loads += 2 * settings.starts * 2.0 * models * len(plan.threads)
    return loads + per_entry * len(plan.entries) * len(plan.lengths) * len(plan.threads)


def _check_settings(
    settings: Settings, lengths: Sequence[int] | None, threads: Sequence[int]
) -> None:
    if settings.blocks < 2 or settings.blocks % 2:
        raise InputError(
            f"--blocks {settings.blocks} cannot be used: every forward order is followed by its "
            "reverse (A B B A).",
            "Give an even number, for example --blocks 10.",
        )
    if not settings.seconds_per_block > 0:
        raise InputError(
            f"--seconds-per-block {settings.seconds_per_block:g} is not above zero.",
            "Give for example --seconds-per-block 0.5.",
        )
    most = settings.most_blocks
    if most and (most < settings.blocks or most % 2):
        raise InputError(
            f"--most-blocks {settings.most_blocks} cannot be used with --blocks {settings.blocks}.",
            "Give an even number that is not smaller.",
        )
    if settings.starts < 0 or settings.pause_limit < 0:
        raise InputError("--starts and --pause-limit are not below zero.", "0 leaves them out.")
    limits: Mapping[str, Sequence[int] | None] = {"--lengths": lengths, "--threads": threads}
    for option, values in limits.items():
        if values is not None and (not values or min(values) < 1):
            raise InputError(
                f"{option} needs whole numbers above zero.", f"Give for example {option} 1,2."
            )


def _choose(
    text: str,
    names: Sequence[str],
    targets: AbstractSet[str],
    device: str,
    read: dict[Path, Bundle],
    notices: list[str],
) -> list[tuple[Bundle, Artifact]]:
    folder, named = Path(text), None
    if not folder.is_dir() and ":" in text:
        before, _, named = text.rpartition(":")
        folder = Path(before)
    if folder not in read:
        read[folder] = read_bundle(folder)
    bundle = read[folder]
    asked = [named] if named else list(names)
    if asked:
        artifacts = [bundle.artifact(name) for name in asked]
        for artifact in artifacts:
            if reason := _unrunnable(artifact, targets):
                raise InputError(
                    f"{artifact.path} cannot be measured on the device {device}: {reason}.",
                    f"Choose another artifact, for one of: {', '.join(sorted(targets))}.",
                )
        return [(bundle, artifact) for artifact in artifacts]
    runnable = [a for a in bundle.artifacts if not _unrunnable(a, targets)]
    for artifact in bundle.artifacts:
        if reason := _unrunnable(artifact, targets):
            notices.append(f"Not measured on {device}: {folder}/{artifact.path}; {reason}.")
    if not runnable:
        raise InputError(
            f"{folder} has no artifact that runs on the device {device}.",
            f"Build one with: squeezebert-export build MODEL {folder} --target onnx",
        )
    return [(bundle, artifact) for artifact in runnable]


def _unrunnable(artifact: Artifact, targets: AbstractSet[str]) -> str:
    """Why a device with runners for ``targets`` does not run ``artifact``; "" when it does."""
    if artifact.target not in targets:
        return f"there is no runner for {artifact.target}"
    return artifact.not_run


def _fitting_lengths(
    lengths: Sequence[int] | None, bundles: Sequence[Bundle], notices: list[str]
) -> tuple[int, ...]:
    """Lengths that were asked for must fit; default ones that do not fit are left out, aloud."""
    shortest = min(bundles, key=lambda bundle: bundle.model.max_positions)
    limit = shortest.model.max_positions
    asked = tuple(sorted(set(lengths or DEFAULT_LENGTHS)))
    too_long = [length for length in asked if length > limit]
    if not too_long:
        return asked
    reason = f"{shortest.folder} has a position table of {limit} tokens"
    if lengths is not None:
        raise InputError(
            f"Length {too_long[0]} is too long: {reason}.",
            f"Give --lengths up to {limit}, or leave that bundle out.",
        )
    dropped = ", ".join(str(length) for length in too_long)
    notices.append(f"Not measured: the default lengths {dropped}; {reason}.")
    return tuple(length for length in asked if length <= limit) or (limit,)
