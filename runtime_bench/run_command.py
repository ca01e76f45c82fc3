"""``squeezebert-bench run``: from the options to a results file for every device."""

import argparse
import json
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from runtime_bench import counting, schedule
from runtime_bench.devices.base import Device, open_device
from runtime_bench.devices.host import Host
from runtime_bench.dry_run import counts_instructions, plan_files, show_plans
from runtime_bench.errors import BenchError, DeviceError, GateError, InputError
from runtime_bench.header import check_resumable, run_record
from runtime_bench.instruction_gate import run_gate
from runtime_bench.plan import Plan, Settings, make_plan
from runtime_bench.progress import Progress, say
from runtime_bench.records import Record
from runtime_bench.report.base import choose_formats
from runtime_bench.report.content import build_content
from runtime_bench.results import ResultsWriter, already_there, read_results
from runtime_bench.right_answers import RightAnswers

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
        _check(job, options)
    if options.dry_run:
        show_plans([(job.device, job.plan, job.path) for job in jobs], options.json)
        return 0
    with Progress() as progress:
        if len(jobs) == 1:
            codes = [_measure(jobs[0], options, command, progress.show)]
        else:
            codes = _measure_all(jobs, options, command, progress)
    written = [job for job in jobs if job.path.exists()]
    if INTERRUPTED in codes:
        return INTERRUPTED
    _show(written, options.json)
    for job in written:
        say(f"Results: {job.path}. Report: squeezebert-bench report {job.path}")
    if options.gate_instructions is not None:
        for job in written:
            code, table = run_gate(job.path, options.gate_instructions)
            say(table)
            codes.append(code)
    return max(codes)


def _jobs(options: argparse.Namespace) -> list[_Job]:
    if not options.device:
        raise InputError("--device names no device.", "See: squeezebert-bench devices")
    devices = {device.name: device for device in map(open_device, options.device)}
    several = len(devices) > 1
    jobs = []
    for name, device in devices.items():
        if not device.targets():
            device.check([])  # says why nothing runs there
        plan = make_plan(
            options.bundles,
            baselines=[item for group in options.baseline for item in group],
            artifacts=options.artifacts,
            lengths=options.lengths,
            threads=options.threads,
            settings=_settings(options, device),
            device=name,
            targets=device.targets(),
            peak=device.multiplies,
        )
        plan = replace(plan, notices=(*plan.notices, *device.notices))
        path: Path = options.out
        if several:
            place = re.sub(r"[^A-Za-z0-9._-]", "-", name)
            path = path.with_name(f"{path.stem}-{place}{path.suffix}")
        jobs.append(_Job(device, plan, path, f"{name}: " if several else ""))
    return jobs


def _check(job: _Job, options: argparse.Namespace) -> None:
    """Raise for what can be known before anything is changed on the device or written."""
    job.device.check(plan_files(job.plan))
    job.device.cpus(job.plan.settings.cores)
    if options.gate_instructions is not None:
        if not counts_instructions(job.device):
            raise InputError(
                f"{job.device.name} does not count instructions.",
                "Give --gate-instructions with --device arm64.",
            )
        read_results(options.gate_instructions)
    if job.path.exists() and not options.resume and not options.dry_run:
        raise already_there(job.path)


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
    """Phones all at once, and after them what computes on this machine, one by one.

    What one of them cannot do does not stop the others.
    """
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

    codes = []
    phones = [job for job in jobs if not job.device.here]
    with ThreadPoolExecutor(max(1, len(phones))) as pool:
        running = [pool.submit(measured, job) for job in phones]
        try:
            codes += [job.result() for job in running]
        except KeyboardInterrupt:
            stopped.set()
            say("squeezebert-bench: Interrupted; each phone finishes its block.")
            codes += [job.result() for job in running]
    for job in jobs:
        if job.device.here and INTERRUPTED not in codes:
            codes.append(measured(job))
    return codes


def _measure(
    job: _Job,
    options: argparse.Namespace,
    command: Sequence[str],
    show: Callable[[str], None],
) -> int:
    written: list[Record] = []
    try:
        return _recorded(job, options, command, show, written.append)
    except KeyboardInterrupt:
        say(f"squeezebert-bench: {job.title}Interrupted; {_kept(job, written)}")
        return INTERRUPTED
    except DeviceError as error:
        kept = _kept(job, written)
        raise DeviceError(error.message, f"{error.next_step} {kept}") from None
    finally:
        job.device.end()


def _recorded(
    job: _Job,
    options: argparse.Namespace,
    command: Sequence[str],
    show: Callable[[str], None],
    remember: Callable[[Record], None],
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

        def write(record: Record) -> None:
            writer.write(record)
            remember(record)

        if earlier is None:
            write(head)
        if counts_instructions(device):
            failed = counting.execute(plan, device, write, show, earlier, host=host)
        elif device.measures_plans:
            told = head if earlier is None else replace(head, started=earlier.run.started)
            answers = RightAnswers(plan, host)
            resumed = None if earlier is None else job.path
            failed = device.measure(plan, told, answers, write, show, resumed)
        else:
            right = None if device.name == host.name else host
            failed = schedule.execute(
                plan, device, write, show, earlier, host=right, lacking=lacking
            )
    return 1 if failed else 0


def _kept(job: _Job, written: Sequence[Record]) -> str:
    """What is in the results file of an interrupted run, and how to go on."""
    if not written and not job.path.exists():
        return "nothing was measured yet."
    results = read_results(job.path)
    kept = len(results.blocks) + len(results.instructions)
    what = "counts" if "profile" in results.run.device["extra"] else "blocks"
    return (
        f"{kept} finished {what} are kept in {job.path}. Go on with the same command and --resume."
    )


def _show(jobs: Sequence[_Job], as_json: bool) -> None:
    contents = [build_content(read_results(job.path)) for job in jobs]
    if not as_json:
        for content in contents:
            print(choose_formats(["terminal"])[0].render(content))
    elif contents:
        documents = [content.document() for content in contents]
        print(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
