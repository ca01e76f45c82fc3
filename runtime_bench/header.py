"""The head of a results file: what is measured, with which hashes, where and how."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from runtime_bench.devices.base import BenchWarning, Device
from runtime_bench.errors import InputError
from runtime_bench.flops import nominal_flops
from runtime_bench.plan import PEAK_PRODUCT, Entry, Plan
from runtime_bench.records import RunRecord

_OF_AWAKE_CORES = ("cores", "features", "clusters")


def run_record(plan: Plan, device: Device, command: Sequence[str]) -> RunRecord:
    """The head of the results, after the gates have looked at the device."""
    return RunRecord(
        started=utc_now(),
        command=tuple(command),
        device={"name": device.name, **asdict(device.fingerprint())},
        versions=device.versions(),
        lengths=plan.lengths,
        threads=plan.threads,
        settings=asdict(plan.settings),
        entries=tuple(entry_document(entry, plan.lengths) for entry in plan.entries),
        warnings=gate_warnings(plan, device),
        notices=plan.notices,
    )


def entry_document(entry: Entry, lengths: Sequence[int]) -> dict[str, object]:
    """An entry as the run record holds it: artifact with hashes, model, nominal FLOPs by length."""
    document: dict[str, object] = {
        "id": entry.id,
        "label": entry.label,
        "roles": list(entry.roles),
        "target": entry.target,
    }
    if entry.bundle is None or entry.artifact is None:
        rows, inner, columns = PEAK_PRODUCT
        flops = 2 * rows * inner * columns
        return {**document, "bundle": None, "nominal_flops": {"any": flops}}
    artifact, model = entry.artifact, entry.bundle.model
    return {
        **document,
        "bundle": {
            "folder": entry.bundle.folder.name,
            "recipe": entry.bundle.recipe,
            "model": asdict(model),
        },
        "artifact": {
            "path": artifact.path,
            "flavour": artifact.flavour,
            "precision": artifact.precision,
            "bytes": artifact.bytes,
            "sha256": artifact.sha256,
            "fingerprint": artifact.fingerprint,
            "files": [asdict(file) for file in artifact.files],
            "accuracy": artifact.accuracy,
        },
        "nominal_flops": {str(length): nominal_flops(model, length) for length in lengths},
    }


def check_resumable(earlier: RunRecord, now: RunRecord) -> None:
    """Raise InputError unless ``now`` would measure the same things in the same way and place."""
    # Lengths first: the entries hold the FLOPs of each.
    comparisons: Mapping[str, tuple[object, object]] = {
        "another device": (lasting(earlier.device), lasting(now.device)),
        "other lengths": (earlier.lengths, now.lengths),
        "other thread counts": (earlier.threads, now.threads),
        "other settings": (earlier.settings, now.settings),
        "other versions": (earlier.versions, now.versions),
        "other artifacts": (earlier.entries, now.entries),
    }
    for what, (before, after) in comparisons.items():
        if json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True):
            raise InputError(
                f"The run cannot be resumed: its file holds {what}{_difference(before, after)}.",
                "Give the same options as before, or start anew with another --out.",
            )


def lasting(device: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of a run record's ``device`` is the same whenever one looks.

    An app is not told of cores that sleep; the other devices are asked in ways that know them all.
    """
    if device["kind"] != "app":
        return device
    return {name: value for name, value in device.items() if name not in _OF_AWAKE_CORES}


def _difference(before: object, after: object) -> str:
    """What differs, where that is short: the first of a mapping's fields, or a whole list."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            if json.dumps(before.get(name)) != json.dumps(after.get(name)):
                return f" ({name}: {before.get(name)} before, {after.get(name)} now)"
    if isinstance(before, Sequence) and all(isinstance(item, int) for item in before):
        return f" ({_listed(before)} before, {_listed(after)} now)"
    return ""


def _listed(values: object) -> str:
    return ",".join(str(item) for item in values) if isinstance(values, Sequence) else str(values)


def gate_warnings(plan: Plan, device: Device) -> tuple[BenchWarning, ...]:
    """What speaks against measuring on ``device`` now."""
    held = sum(entry.artifact.bytes for entry in plan.entries if entry.artifact is not None)
    return device.gates(plan.threads, held)


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
