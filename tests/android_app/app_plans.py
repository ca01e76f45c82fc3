"""Plans for the app's benchmark, of tiny bundles, and what comes out on a made-up phone."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonschema

from runtime_bench import plan
from runtime_bench.bundles import Bundle
from runtime_bench.header import entry_document
from runtime_bench.inputs import golden_inputs
from runtime_bench.plan import Plan
from runtime_bench.report.content import Content, build_content
from runtime_bench.results import Results, read_results
from tests.android_app.core_classes import run_program
from tests.runtime_bench.tiny_bundles import LABELS, write_bundle

PACKAGE = "org.squeezebert.core.benchmark"
_SCHEMAS = Path(plan.__file__).parent / "schema"
RECORD_SCHEMA = json.loads((_SCHEMAS / "record.schema.json").read_text())
PLAN_SCHEMA = json.loads((_SCHEMAS / "app_plan.schema.json").read_text())

Document = dict[str, Any]


def app_bundle(folder: Path, *, model: Mapping[str, Any] | None = None, **options: Any) -> Path:
    """A tiny bundle with the fields that only the app reads; ``model`` are other facts of it."""
    folder.mkdir()
    write_bundle(folder, **options)
    manifest = folder / "manifest.json"
    document = json.loads(manifest.read_text())
    document["model"] |= {"parameters": 1000, "max_length": 64, **(model or {})}
    document["files"] = []
    manifest.write_text(json.dumps(document))
    return folder


def app_plan(of: Plan, **settings: Any) -> Document:
    """The plan as the app takes it; every model is to answer the same made-up logits."""
    entries = [entry for entry in of.entries if entry.artifact is not None]
    logits = {"logits": {"shape": [1, LABELS], "values": [0.25, -1.5, 3.0]}}
    lengths = [str(length) for length in of.lengths]
    document: Document = {
        "schema": "squeezebert-app-plan/1",
        "command": ["squeezebert-bench", "run"],
        "device": "app:1A2B",
        "entries": [entry_document(entry, of.lengths) for entry in entries],
        "bundles": {entry.id: f"bundles/{_name(entry.bundle)}" for entry in entries},
        "lengths": list(of.lengths),
        "threads": list(of.threads),
        "settings": asdict(of.settings) | settings,
        "tensors": {
            entry.id: {
                "inputs": [asdict(spec) for spec in entry.artifact.inputs],
                "outputs": [asdict(spec) for spec in entry.artifact.outputs],
            }
            for entry in entries
            if entry.artifact is not None
        },
        "inputs": {
            entry.id: {
                str(length): golden_inputs(entry, length, of.settings.seed) for length in of.lengths
            }
            for entry in entries
        },
        "expected": {entry.id: dict.fromkeys(lengths, logits) for entry in entries},
        "tolerances": {entry.id: 1e-4 for entry in entries},
        "warnings": [],
        "notices": ["left out"],
    }
    as_read: Document = json.loads(json.dumps(document))
    return as_read


def _name(bundle: Bundle | None) -> str:
    assert bundle is not None
    return bundle.folder.name


def run_benchmark(document: Document, folder: Path, *options: float) -> tuple[Path, list[Document]]:
    """The records of a run of the app's benchmark on a made-up phone, and the app's summary."""
    asked, out = folder / "plan.json", folder / "records.jsonl"
    asked.write_text(json.dumps(document))
    printed = run_program(f"{PACKAGE}.WriteRecords", [asked, out, *map(str, options)])
    rows: list[Document] = json.loads(printed)
    return out, rows


def checked_results(path: Path) -> tuple[Results, Content]:
    """The file, valid against the schema of records, as Python reads it."""
    validator = jsonschema.Draft202012Validator(RECORD_SCHEMA)
    for line in path.read_text().splitlines():
        validator.validate(json.loads(line))
    results = read_results(path)
    return results, build_content(results)
