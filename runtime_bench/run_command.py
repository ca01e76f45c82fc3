"""``squeezebert-bench run``: from the options to a results file for every device."""

import argparse
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from runtime_bench import counting, schedule
from runtime_bench.devices.base import Device, open_device
from runtime_bench.devices.host import Host
from runtime_bench.errors import BenchError, DeviceError, GateError
from runtime_bench.header import check_resumable, run_record
from runtime_bench.instruction_gate import run_gate
from runtime_bench.plan import Plan, Settings, estimated_seconds, make_plan
from runtime_bench.progress import Progress, say
from runtime_bench.report.base import choose_formats
from runtime_bench.report.content import build_content
from runtime_bench.results import ResultsWriter, read_results

INTERRUPTED = 130


@dataclass(frozen=True)
class _Job:
    """One device with its plan and its results file. ``title`` tells several devices apart."""

    device: Device
    plan: Plan
    path: Path
    title: str


def run(options: argparse.Namespace, command: Sequence[str]) -> int:
    """Measure; returns 0, 1 (an entry, a gate or the device failed) or 130 (Ctrl-C)."""
    jobs = _jobs(options)
    for job in jobs:
        job.device.check(_files(job.plan))
    if options.dry_run:
        return _dry_run(jobs, options)
    with Progress() as progress:
        if len(jobs) == 1:
            codes = [_measure(jobs[0], options, command, progress.show)]
        else:
            codes = _measure_all(jobs, options, command, progress)
    if INTERRUPTED in codes:
        return INTERRUPTED
    for job in jobs:
        if job.path.exists():
            _show(job.path, options.json)
            say(f"Results: {job.path}. Report: squeezebert-bench report {job.path}")
    if options.gate_instructions is not None:
        for job in jobs:
            code, table = run_gate(job.path, options.gate_instructions)
            say(table)
            codes.append(code)
    return max(codes)


def _jobs(options: argparse.Namespace) -> list[_Job]:
    names = list(dict.fromkeys(options.device))
    jobs = []
    for name in names:
        device = open_device(name)
        if not device.targets():
            device.check([])  # says why nothing runs there
        plan = make_plan(
            options.bundles,
            baselines=[item for group in options.baseline for item in group],
            artifacts=options.artifacts,
            lengths=options.lengths,
            threads=options.threads,
            settings=_settings(options, device),
            device=device.name,
            targets=device.targets(),
        )
        path: Path = options.out
        if len(names) > 1:
            place = device.name.replace(":", "-").replace("/", "-")
            path = path.with_name(f"{path.stem}-{place}{path.suffix}")
        jobs.append(_Job(device, plan, path, f"{device.name}: " if len(names) > 1 else ""))
    return jobs


def _settings(options: argparse.Namespace, device: Device) -> Settings:
    usual = device.usual
    return Settings(
        blocks=options.blocks,
        most_blocks=options.most_blocks or 0,
        seconds_per_block=options.seconds_per_block,
        warm_up_limit=options.warm_up_limit,
        step_limit=options.step_limit,
        cores=options.cores,
        starts=usual.starts if options.starts is None else options.starts,
        pause_limit=usual.pause_limit if options.pause_limit is None else options.pause_limit,
        seed=options.seed,
    )


def _measure_all(
    jobs: Sequence[_Job],
    options: argparse.Namespace,
    command: Sequence[str],
    progress: Progress,
) -> list[int]:
    """All devices at once; what one of them cannot do does not stop the others."""
    stopped = threading.Event()

    def measured(job: _Job) -> int:
        def show(text: str) -> None:
            if stopped.is_set():  # Ctrl-C reaches the main thread only
                raise KeyboardInterrupt
            progress.show(job.title + text)

        try:
            return _measure(job, options, command, show)
        except BenchError as error:
            say(f"squeezebert-bench: {job.title}{error}")
            return error.exit_code

    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(measured, job) for job in jobs]
        try:
            return [job.result() for job in running]
        except KeyboardInterrupt:
            stopped.set()
            return [job.result() for job in running]


def _measure(
    job: _Job,
    options: argparse.Namespace,
    command: Sequence[str],
    show: Callable[[str], None],
) -> int:
    try:
        return _recorded(job, options, command, show)
    except KeyboardInterrupt:
        say(f"squeezebert-bench: {job.title}Interrupted; {_kept(job.path)}")
        return INTERRUPTED
    except DeviceError as error:
        raise DeviceError(error.message, f"{error.next_step} {_kept(job.path)}") from None
    finally:
        job.device.end()


def _recorded(
    job: _Job,
    options: argparse.Namespace,
    command: Sequence[str],
    show: Callable[[str], None],
) -> int:
    plan, device = job.plan, job.device
    lacking = device.begin()
    head = run_record(plan, device, command)
    head = replace(head, warnings=(*lacking, *head.warnings))
    earlier = None
    if options.resume and job.path.exists():
        earlier = read_results(job.path)
        check_resumable(earlier.run, head)
    for notice in plan.notices:
        say(f"{job.title}{notice}")
    for warning in head.warnings:
        say(f"Warning: {job.title}{warning.message} {warning.remedy}")
    refused = [warning for warning in head.warnings if warning.blocking]
    if refused and not options.despite_gates:
        raise GateError(
            f"{device.name} is in no state to be measured: {refused[0].message}",
            f"{refused[0].remedy} (Or measure all the same: --despite-gates)",
        )
    host = Host()
    with ResultsWriter(job.path, resume=earlier is not None) as writer:
        if earlier is None:
            writer.write(head)
        if "profile" in device.fingerprint().extra:
            return int(bool(counting.execute(plan, device, writer.write, show, earlier, host=host)))
        right = None if device.name == host.name else host
        return int(bool(schedule.execute(plan, device, writer.write, show, earlier, host=right)))


def _kept(path: Path) -> str:
    if not path.exists():
        return "Nothing was measured yet."
    results = read_results(path)
    kept = len(results.blocks) + len(results.instructions)
    return f"{kept} finished blocks are kept in {path}. Go on with the same command and --resume."


def _files(plan: Plan) -> list[tuple[Path, int]]:
    """Every file of the plan's artifacts with its bytes, each once."""
    found = {
        entry.bundle.folder / file.path: file.bytes
        for entry in plan.entries
        if entry.bundle is not None and entry.artifact is not None
        for file in entry.artifact.files
    }
    return list(found.items())


def _dry_run(jobs: Sequence[_Job], options: argparse.Namespace) -> int:
    documents = [_document(job) for job in jobs]
    if options.json:
        print(json.dumps(documents[0] if len(jobs) == 1 else documents, indent=2))
        return 0
    for job in jobs:
        print("\n".join(_lines(job)))
    return 0


def _document(job: _Job) -> dict[str, object]:
    plan = job.plan
    return {
        "device": plan.device,
        "entries": [
            {"id": entry.id, "label": entry.label, "roles": entry.roles} for entry in plan.entries
        ],
        "lengths": plan.lengths,
        "threads": plan.threads,
        "settings": asdict(plan.settings),
        "notices": plan.notices,
        "commands": job.device.dry_run(_files(plan)),
        "estimated_seconds": round(estimated_seconds(plan)),
    }


def _lines(job: _Job) -> list[str]:
    plan, settings = job.plan, job.plan.settings
    lines = []
    for entry in plan.entries:
        place = "-"
        if entry.bundle is not None and entry.artifact is not None:
            place = f"{entry.bundle.folder}/{entry.artifact.path}"
        lines.append(f"{entry.id:>5}  {'+'.join(entry.roles):<17} {entry.label}  ({place})")
    turns = " ".join(
        entry.id for forward in (True, False) for entry in schedule.order(plan.entries, forward)
    )
    lines.append(f"Order of two rounds: {turns}; {settings.blocks} rounds for each case.")
    for case in plan.cases():
        threads = f"{case.threads} thread{'' if case.threads == 1 else 's'}"
        lines.append(f"Case: {case.length} tokens, {threads}, cores: {settings.cores}")
    lines += plan.notices
    if commands := job.device.dry_run(_files(plan)):
        lines += ["Commands:", *(f"  {command}" for command in commands)]
    minutes = estimated_seconds(plan) / 60
    lines.append(f"At least {minutes:.1f} minutes on {plan.device}; results in {job.path}.")
    return lines


def _show(path: Path, as_json: bool) -> None:
    content = build_content(read_results(path))
    if as_json:
        print(json.dumps(content.document(), indent=2))
    else:
        print(choose_formats(["terminal"])[0].render(content))
