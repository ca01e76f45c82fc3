"""Which artifacts a build makes, and which it can keep: a fingerprint of all that goes in."""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from exporter.calibration import needs_calibration
from exporter.checkpoint import Checkpoint
from exporter.errors import UserError
from exporter.manifest import Manifest
from exporter.manifest_file import changed_files
from exporter.quantization.mix import MIXED, Mix
from exporter.targets.base import ArtifactSpec, Target, code_hash, find_target

#: Packages whose code decides what an artifact is or whether it passes; the target's own code
#: and its runtime are covered by ``Target.fingerprint``.
_ROOMS = ("model", "quantization", "verification")

#: How much two names share (difflib) where one is a slip for the other: not int3 and int8 (0.75).
_SIMILAR = 0.8


@dataclass(frozen=True)
class PlannedArtifact:
    """One artifact of a build, made from ``checkpoint``, whose model has the mix of the artifact.

    ``reason`` says why it is built, None: it is up to date.
    """

    spec: ArtifactSpec
    target: Target
    checkpoint: Checkpoint
    fingerprint: str
    reason: str | None


def choose_artifacts(
    targets: Sequence[str],
    precisions: Sequence[str],
    flavours: Sequence[str],
    backends: Sequence[str] = (),
    lengths: Sequence[int] = (),
) -> tuple[tuple[ArtifactSpec, Target], ...]:
    """The artifacts asked for: of every target those that it has.

    No precisions: each target's usual ones. ``lengths`` go to the artifacts whose flavour is made
    for lengths. Raises UserError for a name that leads to no artifact of the chosen targets and
    backends, for lengths that no flavour takes, for nothing asked for, and for one path twice.
    """
    found = tuple(map(find_target, targets))
    specs = tuple(
        (spec, target)
        for target in found
        for spec in target.artifacts(
            tuple(precisions),
            tuple(flavours),
            tuple(name for name in backends if name in target.backends) or target.backends[:1],
        )
    )
    # First: where a name is unknown, nothing else leads to an artifact either.
    _check_names("--precision", precisions, found, [t.precisions for t in found])
    _check_names("--backend", backends, found, [t.backends for t in found])
    _check_names("--flavour", flavours, found, [t.flavours for t in found])
    for option, asked, made in (
        ("--precision", precisions, {spec.precision for spec, _ in specs}),
        ("--backend", backends, {spec.backend for spec, _ in specs}),
        ("--flavour", flavours, {spec.flavour for spec, _ in specs}),
    ):
        for value in asked:
            if value not in made:
                raise UserError(
                    f"{option} {value} leads to no artifact of what else is asked for.",
                    f"{'; '.join(target.offers for target in found)}.",
                )
    if lengths:
        chosen = tuple(sorted(set(lengths)))
        specs = tuple(
            (replace(spec, lengths=chosen if target.takes_lengths(spec.flavour) else ()), target)
            for spec, target in specs
        )
        if not any(spec.lengths for spec, _ in specs):
            raise UserError(
                "--lengths leads to nothing: no flavour that is asked for is made for lengths.",
                "Leave it out, or ask for a flavour that is: see squeezebert-export build --help.",
            )
    paths = [spec.path for spec, _ in specs]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if not paths or twice:
        what = f"{twice[0]} is asked for twice" if twice else "no artifact is asked for"
        raise UserError(
            f"Nothing sensible to build: {what}.", "Check --target, --precision and --flavour."
        )
    return specs


def _check_names(
    option: str, asked: Sequence[str], targets: Sequence[Target], names: Sequence[Sequence[str]]
) -> None:
    """UserError for a name ``asked`` for that none of ``targets`` has among its ``names``."""
    known = tuple(dict.fromkeys(name for had in names for name in had))
    for value in asked if known else ():
        if value not in known:
            near = _nearest(value, known)
            step = f"There are: {', '.join(known)}."
            raise UserError(
                f"{option} '{value}' is not known to {', '.join(t.name for t in targets)}.",
                f"Did you mean '{near}'? {step}" if near else step,
            )


def _nearest(value: str, known: Sequence[str]) -> str:
    """The name that was meant: the same words in another order, or a slip; "" for neither."""
    same = [name for name in known if sorted(name.split("_")) == sorted(value.split("_"))]
    close = difflib.get_close_matches(value, known, n=1, cutoff=_SIMILAR)
    return next(iter((*same, *close)), "")


def plan_artifacts(
    checkpoint: Checkpoint,
    specs: Sequence[tuple[ArtifactSpec, Target]],
    out: Path,
    old: Manifest | None,
    *,
    force: bool,
    mixes: Mapping[str, Mix],
) -> tuple[PlannedArtifact, ...]:
    """What to do with each artifact, given the manifest ``old`` of the bundle ``out``.

    ``mixes`` are those of the precision ``mixed``, by target.
    """
    return tuple(
        _plan(_with_mix(checkpoint, spec, mixes), spec, target, out, old, force)
        for spec, target in specs
    )


def _with_mix(checkpoint: Checkpoint, spec: ArtifactSpec, mixes: Mapping[str, Mix]) -> Checkpoint:
    if spec.precision != MIXED:
        return checkpoint
    return replace(checkpoint, model=replace(checkpoint.model, mix=mixes[spec.target]))


def artifact_fingerprint(checkpoint: Checkpoint, spec: ArtifactSpec, target: Target) -> str:
    """SHA-256 over the model, its task, labels and tokenizer, the artifact's spec and the code."""
    mix = checkpoint.model.mix
    parts = {
        "source": checkpoint.source_hash,
        "name": checkpoint.name,
        "tokenizer": checkpoint.tokenizer_hash,
        "task": checkpoint.model.task,
        "labels": checkpoint.model.labels,
        "max_length": checkpoint.max_length,
        "spec": [spec.target, spec.precision, spec.flavour, spec.path, spec.backend, spec.lengths],
        "calibration": _calibration_hash(checkpoint, spec, target),
        "mix": "" if mix is None else mix.sha256,
        "target": target.fingerprint(),
        "code": _code_hash(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _calibration_hash(checkpoint: Checkpoint, spec: ArtifactSpec, target: Target) -> str:
    """Over the texts that the artifact's ranges come from; "" where it has none."""
    if not needs_calibration(spec, target):
        return ""
    digest = hashlib.sha256()
    for example in checkpoint.model.calibration:
        for name, values in sorted(example.items()):
            digest.update(f"{name} {values.shape}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()


def _plan(
    checkpoint: Checkpoint,
    spec: ArtifactSpec,
    target: Target,
    out: Path,
    old: Manifest | None,
    force: bool,
) -> PlannedArtifact:
    fingerprint = artifact_fingerprint(checkpoint, spec, target)
    record = None if old is None else old.artifact(spec.path)
    if record is None:
        reason: str | None = "not in the bundle yet"
    elif record.fingerprint != fingerprint:
        reason = "its model, mix, options or code changed"
    elif problems := changed_files(out, record.files):
        reason = f"changed on disk: {problems[0]}"
    else:
        reason = "rebuilt as asked" if force else None
    return PlannedArtifact(spec, target, checkpoint, fingerprint, reason)


def _code_hash() -> str:
    folder = Path(__file__).parent
    shared = sorted((folder / "targets").glob("*.py"))
    return code_hash("", *(folder / room for room in _ROOMS), *shared)
