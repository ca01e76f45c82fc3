"""The plan that the app gets, ``squeezebert-app-plan/1`` (``schema/app_plan.schema.json``)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runtime_bench.bundles import Artifact, Bundle
from runtime_bench.errors import InputError, RunnerError
from runtime_bench.inputs import golden_inputs
from runtime_bench.plan import Entry, Plan
from runtime_bench.records import RunRecord
from runtime_bench.right_answers import RightAnswers, tolerance

PLAN_SCHEMA = "squeezebert-app-plan/1"
PLAN_FILE = "plan.json"


def plan_document(plan: Plan, head: RunRecord, answers: RightAnswers) -> dict[str, Any]:
    """The plan as the app reads it.

    ``head`` is the run record; ``answers`` are this machine's, which the app's outputs are held to
    before anything is timed. Raises RunnerError where this machine has none.
    """
    return {
        "schema": PLAN_SCHEMA,
        "command": list(head.command),
        "device": plan.device,
        "entries": list(head.entries),
        "bundles": {entry.id: bundle_folder(entry) for entry in plan.entries},
        "lengths": list(plan.lengths),
        "threads": list(plan.threads),
        "settings": dict(head.settings),
        "tensors": {entry.id: _tensors(entry) for entry in plan.entries},
        "inputs": {
            entry.id: {
                str(length): golden_inputs(entry, length, plan.settings.seed)
                for length in plan.lengths
            }
            for entry in plan.entries
        },
        "expected": {
            entry.id: {
                str(length): {
                    name: {"shape": item["shape"], "values": item["values"]}
                    for name, item in answers.of(entry)[length].items()
                }
                for length in plan.lengths
            }
            for entry in plan.entries
        },
        "tolerances": {
            entry.id: tolerance(artifact_of(entry)[1].precision) for entry in plan.entries
        },
        "warnings": [asdict(warning) for warning in head.warnings],
        "notices": list(plan.notices),
    }


def plan_bytes(document: Mapping[str, Any]) -> bytes:
    """The content of the plan's file; raises RunnerError where a number is not finite."""
    try:
        return json.dumps(document, allow_nan=False).encode()
    except ValueError:
        raise RunnerError(
            "A number of the plan is not finite, so that the app cannot read it.",
            "Prove the bundle with: squeezebert-export verify BUNDLE",
        ) from None


def bundle_folder(entry: Entry) -> str:
    """Where the entry's files lie, beside the plan.

    Every entry has a folder of its own, so that two bundles' files of one name stay apart.
    """
    return f"bundles/{entry.id}"


def files_by_folder(plan: Plan) -> Mapping[str, Sequence[Path]]:
    """What has to lie in each folder beside the plan, under its manifest path."""
    found: dict[str, list[Path]] = {}
    for entry in plan.entries:
        bundle, artifact = artifact_of(entry)
        for file in artifact.files:
            below = Path(file.path).parent
            folder = str(Path(bundle_folder(entry)) / below)
            found.setdefault(folder, []).append(bundle.folder / file.path)
    return found


def artifact_of(entry: Entry) -> tuple[Bundle, Artifact]:
    """What the entry measures; raises InputError for the matrix product."""
    if entry.bundle is None or entry.artifact is None:
        raise InputError(f"The app does not measure {entry.label}.", "Name a bundle.")
    return entry.bundle, entry.artifact


def _tensors(entry: Entry) -> dict[str, Any]:
    _, artifact = artifact_of(entry)
    return {
        "inputs": [asdict(spec) for spec in artifact.inputs],
        "outputs": [asdict(spec) for spec in artifact.outputs],
    }
