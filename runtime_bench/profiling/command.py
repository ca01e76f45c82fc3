"""``squeezebert-bench profile``: where the time of each artifact goes."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from runtime_bench.devices.base import open_device
from runtime_bench.errors import InputError
from runtime_bench.plan import Settings, make_plan
from runtime_bench.profiling.document import document, render
from runtime_bench.profiling.profile import TARGETS, profile_plan
from runtime_bench.progress import Progress, say
from runtime_bench.written_files import write_text

_DEVICE = "host"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that only this command has."""
    parser.add_argument(
        "--length", type=int, default=128, metavar="N", help="number of tokens (default: 128)"
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="number of threads (default: 1)"
    )
    parser.add_argument(
        "--runs", type=int, default=20, metavar="N", help="runs to add up (default: 20)"
    )
    parser.add_argument(
        "--out", type=Path, default=None, metavar="FILE", help="write the JSON document there, too"
    )


def run(options: argparse.Namespace, _: Sequence[str]) -> int:
    """Returns 0, or 1 when an artifact could not be profiled."""
    for name in ("length", "threads", "runs"):
        if getattr(options, name) < 1:
            raise InputError(
                f"--{name} needs a whole number above zero.",
                "Leave it out for the default value.",
            )
    device = open_device(_DEVICE)
    plan = make_plan(
        options.bundles,
        baselines=[item for group in options.baseline for item in group],
        artifacts=options.artifacts,
        lengths=[options.length],
        threads=[options.threads],
        settings=Settings(step_limit=options.step_limit, seed=options.seed),
        device=device.name,
        targets=TARGETS & device.targets(),
    )
    for notice in plan.notices:
        say(notice)
    with Progress() as progress:
        profiles, failures = profile_plan(plan, device, options.runs, progress.show)
    (case,) = plan.cases()
    text = json.dumps(document(profiles, failures, case, options.runs), indent=2)
    if options.out is not None:
        write_text(options.out, text + "\n")
    print(text if options.json else render(profiles, failures, case, options.runs))
    if options.out is not None:
        say(f"Wrote {options.out}")
    return 1 if failures else 0
