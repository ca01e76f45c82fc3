"""``squeezebert-bench``: run, report, profile, devices. Thin: the work is in the rooms."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from runtime_bench.arguments import command_line
from runtime_bench.devices.base import find_devices, open_device
from runtime_bench.errors import BenchError, InputError
from runtime_bench.header import check_resumable, run_record
from runtime_bench.plan import Plan, Settings, estimated_seconds, make_plan
from runtime_bench.profiling import command as profile
from runtime_bench.progress import Progress, say
from runtime_bench.report.base import choose_formats
from runtime_bench.report.content import build_content
from runtime_bench.results import Results, ResultsWriter, read_results
from runtime_bench.schedule import execute, order

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns 0, 1 (an entry failed), 2 (unusable input) or 130 (Ctrl-C)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = command_line().parse_args(given)
    commands = {"run": _run, "report": _report, "profile": profile.run, "devices": _devices}
    try:
        return commands[options.command](options, ["squeezebert-bench", *given])
    except BenchError as error:
        say(f"squeezebert-bench: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("squeezebert-bench: Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (for example: | head).
        sys.stderr.close()
        return 1


def _run(options: argparse.Namespace, command: Sequence[str]) -> int:
    device = open_device(options.device)
    plan = make_plan(
        options.bundles,
        baselines=[item for group in options.baseline for item in group],
        artifacts=options.artifacts,
        lengths=options.lengths,
        threads=options.threads,
        settings=Settings(
            blocks=options.blocks,
            seconds_per_block=options.seconds_per_block,
            warm_up_limit=options.warm_up_limit,
            step_limit=options.step_limit,
            seed=options.seed,
        ),
        device=device.name,
        targets=device.targets(),
    )
    if options.dry_run:
        return _dry_run(plan, options)
    path: Path = options.out
    head = run_record(plan, device, command)
    earlier: Results | None = None
    if options.resume and path.exists():
        earlier = read_results(path)
        check_resumable(earlier.run, head)
    for notice in plan.notices:
        say(notice)
    for warning in head.warnings:
        say(f"Warning: {warning.message} {warning.remedy}")
    with ResultsWriter(path, resume=earlier is not None) as writer, Progress() as progress:
        try:
            if earlier is None:
                writer.write(head)
            failed = execute(plan, device, writer.write, progress.show, earlier)
        except KeyboardInterrupt:
            kept = len(read_results(path).blocks)
            progress.stop()
            say(
                f"squeezebert-bench: Interrupted; {kept} finished blocks are kept in {path}. "
                "Go on with the same command and --resume."
            )
            return INTERRUPTED
    _show(path, options.json)
    say(f"Results: {path}. Report: squeezebert-bench report {path}")
    return 1 if failed else 0


def _dry_run(plan: Plan, options: argparse.Namespace) -> int:
    seconds = estimated_seconds(plan)
    if options.json:
        document = {
            "device": plan.device,
            "entries": [
                {"id": entry.id, "label": entry.label, "roles": entry.roles}
                for entry in plan.entries
            ],
            "lengths": plan.lengths,
            "threads": plan.threads,
            "settings": asdict(plan.settings),
            "notices": plan.notices,
            "estimated_seconds": round(seconds),
        }
        print(json.dumps(document, indent=2))
        return 0
    for entry in plan.entries:
        place = (
            f"{entry.bundle.folder}/{entry.artifact.path}"
            if entry.bundle and entry.artifact
            else "-"
        )
        print(f"{entry.id:>5}  {'+'.join(entry.roles):<17} {entry.label}  ({place})")
    turns = " ".join(
        entry.id for forward in (True, False) for entry in order(plan.entries, forward)
    )
    print(f"Order of two rounds: {turns}; {plan.settings.blocks} rounds for each case.")
    for case in plan.cases():
        print(
            f"Case: {case.length} tokens, {case.threads} thread{'' if case.threads == 1 else 's'}"
        )
    for notice in plan.notices:
        print(notice)
    print(f"At least {seconds / 60:.1f} minutes on {plan.device}; results in {options.out}.")
    return 0


def _show(path: Path, as_json: bool) -> None:
    content = build_content(read_results(path))
    if as_json:
        print(json.dumps(content.document(), indent=2))
    else:
        print(choose_formats(["terminal"])[0].render(content))


def _report(options: argparse.Namespace, _: Sequence[str]) -> int:
    modules = choose_formats(options.format)
    content = build_content(read_results(options.results))
    folder: Path = options.out or options.results.parent
    for module in modules:
        text = module.render(content)
        if module.FILE is None:
            if not options.json:
                print(text)
            continue
        target = folder / module.FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(target.name + ".partial")
            partial.write_text(text, encoding="utf-8")
            partial.replace(target)
        except OSError as error:
            raise InputError(
                f"{target} cannot be written: {error.strerror}.", "Choose a folder with --out."
            ) from None
        say(f"Wrote {target}")
    if options.json:
        print(json.dumps(content.document(), indent=2))
    return 0


def _devices(options: argparse.Namespace, _: Sequence[str]) -> int:
    found = []
    for device in find_devices():
        warnings = device.gates((1,), 0)
        found.append(
            {
                "name": device.name,
                **asdict(device.fingerprint()),
                "targets": sorted(device.targets() - {"sgemm"}),
                "warnings": [asdict(warning) for warning in warnings],
            }
        )
    if options.json:
        print(json.dumps({"devices": found}, indent=2))
        return 0
    for item in found:
        print(f"{item['name']}: {item['model']}, {item['cores']} cores, {item['architecture']}")
        print(f"  instruction sets: {' '.join(item['features']) or 'none known'}")
        print(f"  memory: {item['memory_bytes'] / 2**30:.1f} GiB; {item['system']}")
        print(f"  runs artifacts for: {', '.join(item['targets'])}")
        for warning in item["warnings"]:
            print(f"  warning: {warning['message']} {warning['remedy']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
