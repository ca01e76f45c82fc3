"""Results of runs that never happened: every figure is given, so that the truth is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from runtime_bench.records import (
    BlockRecord,
    EndRecord,
    InstructionsRecord,
    LoadRecord,
    RunRecord,
)
from runtime_bench.results import Results, ResultsWriter

STARTED = "2026-01-02T03:04:05.000+00:00"
PEAK = {
    "id": "peak",
    "label": "fp32 matrix product (peak)",
    "roles": ["peak"],
    "target": "sgemm",
    "bundle": None,
    "nominal_flops": {"any": 600_000_000},
}
PHONE: Mapping[str, Any] = {
    "name": "adb:1A2B",
    "kind": "adb",
    "model": "Pixel 8",
    "architecture": "aarch64",
    "cores": 8,
    "features": ["asimddp", "i8mm"],
    "memory_bytes": 8 * 2**30,
    "system": "Android 15",
    "emulated": False,
    "extra": {},
    "clusters": [
        {"name": "little", "cpus": [0, 1, 2, 3], "maximum_khz": 1_700_000},
        {"name": "big", "cpus": [4, 5, 6, 7], "maximum_khz": 2_900_000},
    ],
}


def entry(
    entry_id: str,
    *,
    family: str = "squeezebert",
    recipe: str = "squeezebert-export",
    precision: str = "int8",
    target: str = "onnx",
    roles: Sequence[str] = ("subject",),
    sha256: str = "a" * 64,
    accuracy: Mapping[str, Any] | None = None,
    label: str = "",
    folder: str = "",
    size: int = 50_000_000,
) -> dict[str, Any]:
    """An entry as the run record holds it, of a base-size model."""
    whose = "stock" if recipe == "stock" else "ours"
    name = {"squeezebert": "SqueezeBERT", "bert": "bert-base-uncased"}[family]
    path = f"{target}/model_{precision}"
    return {
        "id": entry_id,
        "label": label or f"{name} {whose} {precision} {target}",
        "roles": list(roles),
        "target": target,
        "bundle": {
            "folder": folder or f"{whose}-{family}",
            "recipe": recipe,
            "model": {
                "source": f"random:{family}-base",
                "family": family,
                "trained": False,
                "layers": 12,
                "hidden_size": 768,
            },
        },
        "artifact": {
            "path": path,
            "flavour": "stock" if recipe == "stock" else "optimized",
            "precision": precision,
            "bytes": size,
            "sha256": sha256,
            "fingerprint": None,
            "files": [{"path": path, "bytes": size, "sha256": sha256}],
            "accuracy": accuracy,
        },
        "nominal_flops": {"128": 7_400_000_000, "32": 1_850_000_000},
    }


@dataclass(frozen=True)
class Noise:
    """Relative deviations: of a block from its run, of a sample from its block.

    ``outliers`` is the share of samples that take ten times as long; with ``heavy`` the blocks
    deviate by a Student's t of 3 degrees of freedom.
    """

    block: float = 0.01
    sample: float = 0.01
    outliers: float = 0.0
    heavy: bool = False


@dataclass(frozen=True)
class Simulation:
    """What a simulated run measures. ``milliseconds`` by entry id, "peak" included."""

    entries: Sequence[Mapping[str, Any]]
    milliseconds: Mapping[str, float]
    noise: Noise = Noise()
    rounds: int = 10
    samples: int = 15
    seed: int = 0
    lengths: tuple[int, ...] = (128,)
    threads: tuple[int, ...] = (1,)
    device: Mapping[str, Any] = field(default_factory=lambda: PHONE)
    versions: Mapping[str, str] = field(default_factory=lambda: {"onnxruntime": "1.31.1"})
    khz: Mapping[str, int] = field(default_factory=dict)
    cpus: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def simulate(plan: Simulation) -> Results:
    """The results of a finished run; the latencies of every case are the same."""
    generator = np.random.default_rng(plan.seed)
    entries = [*plan.entries, PEAK]
    blocks = [
        _block(plan, generator, str(item["id"]), length, threads, index, position)
        for threads in plan.threads
        for length in plan.lengths
        for index in range(plan.rounds)
        for position, item in enumerate(entries if index % 2 == 0 else entries[::-1])
        if item["id"] in plan.milliseconds
    ]
    loads = [
        LoadRecord(str(item["id"]), threads, 10_000_000, 1, 2, plan.versions, plan.cpus, plan.cpus)
        for threads in plan.threads
        for item in entries
    ]
    return Results(
        run=head(plan), loads=tuple(loads), blocks=tuple(blocks), ends=(EndRecord(STARTED, ()),)
    )


def head(plan: Simulation) -> RunRecord:
    settings = {"blocks": plan.rounds, "seconds_per_block": 0.5, "minimum_iterations": 3}
    return RunRecord(
        started=STARTED,
        command=("squeezebert-bench", "run"),
        device=plan.device,
        versions={"python": "3.11"},
        lengths=plan.lengths,
        threads=plan.threads,
        settings={**settings, **plan.settings},
        entries=(*plan.entries, PEAK),
        warnings=(),
        notices=(),
    )


def emulated(
    plan: Simulation, totals: Mapping[str, Sequence[int]], profile: str = "cortex-a76"
) -> Results:
    """The results of counting: ``totals`` by entry id, one for each inference."""
    device = {**plan.device, "kind": "arm64", "name": f"arm64:{profile}", "emulated": True}
    counted = [
        InstructionsRecord(
            entry=name,
            length=length,
            threads=1,
            profile=profile,
            inferences=tuple(counts(total) for total in values),
            phases={"load": counts(10**9), "first_inference": counts(2 * 10**9)},
        )
        for name, values in totals.items()
        for length in plan.lengths
    ]
    results = simulate(replace(plan, device=device, milliseconds={}))
    return replace(results, instructions=tuple(counted))


def counts(total: int) -> dict[str, int]:
    """A quarter of ``total`` are dot products."""
    dot = total // 4
    return {"total": total, "dot": dot, "matrix": 0, "fmla": 7, "other": total - dot - 7}


def write(results: Results, path: Path) -> Path:
    """A results file with everything that ``results`` hold."""
    with ResultsWriter(path, resume=False) as writer:
        writer.write(results.run)
        for group in (
            *(results.loads, results.warm_ups, results.checks, results.starts, results.conditions),
            *(results.blocks, results.dropped_blocks, results.slowdowns, results.pauses),
            *(results.instructions, results.failures),
            *(results.resumes, results.ends),
        ):
            for record in group:
                writer.write(record)
    return path


def samples(
    generator: np.random.Generator, centre: float, noise: Noise, count: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One block: ``count`` positive times around ``centre``."""
    scatter = generator.standard_t(3) if noise.heavy else generator.normal()
    block = centre * np.exp(noise.block * scatter + generator.normal(0, noise.sample, count))
    return np.where(generator.random(count) < noise.outliers, 10 * block, block)


def _block(
    plan: Simulation,
    generator: np.random.Generator,
    entry_id: str,
    length: int,
    threads: int,
    index: int,
    position: int,
) -> BlockRecord:
    times = samples(generator, plan.milliseconds[entry_id], plan.noise, plan.samples)
    nanoseconds = tuple(round(time * 1e6) for time in times)
    seen = {"khz": plan.khz, "celsius": {}} if plan.khz else None
    return BlockRecord(
        entry=entry_id,
        length=length,
        threads=threads,
        round=index,
        position=position,
        started=STARTED,
        lead_in_ns=nanoseconds[:1],
        wall_ns=nanoseconds,
        cpu_ns=nanoseconds,
        peak_rss_bytes=300_000_000,
        other_load=0.0,
        stolen=0.0,
        before=seen,
        after=seen,
    )
