"""What a run would do, without doing it: the plan, the device's commands, the time."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from runtime_bench.devices.base import Device
from runtime_bench.plan import PEAK, Entry, Plan, estimated_seconds
from runtime_bench.schedule import order

Planned = tuple[Device, Plan, Path]


def show_plans(planned: Sequence[Planned], as_json: bool) -> None:
    """Print what is planned for each device, with its results file."""
    if as_json:
        documents = [_document(*item) for item in planned]
        print(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
        return
    for item in planned:
        print("\n".join(_lines(*item)))


def counts_instructions(device: Device) -> bool:
    """Whether a run there counts instructions in place of timing."""
    return "profile" in device.fingerprint().extra


def plan_files(plan: Plan) -> list[tuple[Path, int]]:
    """Every file of the plan's artifacts with its bytes, each once."""
    found = {
        entry.bundle.folder / file.path: file.bytes
        for entry in plan.entries
        if entry.bundle is not None and entry.artifact is not None
        for file in entry.artifact.files
    }
    return list(found.items())


def _document(device: Device, plan: Plan, _: Path) -> dict[str, object]:
    counts = counts_instructions(device)
    return {
        "device": plan.device,
        "counts_instructions": counts,
        "entries": [
            {"id": entry.id, "label": entry.label, "roles": entry.roles}
            for entry in _entries(device, plan)
        ],
        "lengths": plan.lengths,
        "threads": plan.threads,
        "settings": asdict(plan.settings),
        "notices": plan.notices,
        "commands": device.dry_run(plan_files(plan)),
        "estimated_seconds": None if counts else round(estimated_seconds(plan)),
    }


def _lines(device: Device, plan: Plan, path: Path) -> list[str]:
    lines = []
    for entry in _entries(device, plan):
        place = "-"
        if entry.bundle is not None and entry.artifact is not None:
            place = f"{entry.bundle.folder}/{entry.artifact.path}"
        lines.append(f"{entry.id:>5}  {'+'.join(entry.roles):<17} {entry.label}  ({place})")
    counts = counts_instructions(device)
    if counts:
        lines.append("Instructions are counted, of one artifact after the other; nothing is timed.")
    else:
        turns = [entry.id for forward in (True, False) for entry in order(plan.entries, forward)]
        rounds = plan.settings.blocks
        lines.append(f"Order of two rounds: {' '.join(turns)}; {rounds} rounds for each case.")
    for case in plan.cases():
        threads = f"{case.threads} thread{'' if case.threads == 1 else 's'}"
        cores = "" if counts else f", cores: {plan.settings.cores}"
        lines.append(f"Case: {case.length} tokens, {threads}{cores}")
    lines += plan.notices
    if commands := device.dry_run(plan_files(plan)):
        lines += ["Commands:", *(f"  {command}" for command in commands)]
    takes = "" if counts else f"at least {estimated_seconds(plan) / 60:.1f} minutes, "
    there = " (exists already: add --resume)" if path.exists() else ""
    lines.append(f"On {plan.device}: {takes}results in {path}{there}.")
    return lines


def _entries(device: Device, plan: Plan) -> list[Entry]:
    """The matrix product measures a machine's speed; there is none where instructions count."""
    return [entry for entry in plan.entries if entry.id != PEAK or not counts_instructions(device)]
