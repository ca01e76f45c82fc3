"""``squeezebert-bench compare``: what became faster or slower from one run to the next."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from runtime_bench.comparison.compare import compare_results
from runtime_bench.comparison.document import document, exit_code, render
from runtime_bench.comparison.obstacles import ACROSS, REFERENCE_LIMIT
from runtime_bench.comparison.verdicts import EFFECT_LIMIT, INSTRUCTION_LIMIT
from runtime_bench.errors import InputError
from runtime_bench.progress import say
from runtime_bench.results import read_results
from runtime_bench.written_files import write_text

SUMMARY = "what became faster or slower between two runs"
EXAMPLES = f"""\
examples:
  squeezebert-bench compare yesterday.jsonl today.jsonl
  squeezebert-bench compare main.jsonl branch.jsonl --strict --json
  squeezebert-bench compare old-runtime.jsonl new-runtime.jsonl --across runtime

verdicts, for each artifact in each case that both runs have:
  FASTER, SLOWER   the 95 % interval excludes 1 and the difference is above --limit
  SAME             the whole interval lies within --limit
  NOISY            neither can be said; the reason tells how many more rounds would do
  INCOMPARABLE     other device, cores, clocks, threads or runtime, or emulated against real
  FEWER, MORE      executed instructions on an emulated device, compared exactly; never a time
  MISSING, FAILED  only in the run before; crashed, or answered wrongly, in the later run

The two runs were not interleaved, so the device may have changed between them. The fp32 matrix
product that every run measures beside, and artifacts whose file is the same in both runs, tell by
how much: above {REFERENCE_LIMIT:.0%} of the product nothing is said, below it intervals widen.
Small differences are best measured in one run: one artifact as the --baseline of the other.

exit codes: 0 nothing is slower, 1 something is SLOWER, needs MORE instructions or FAILED (with
--strict also where it is NOISY, INCOMPARABLE or MISSING), 2 nothing could be compared or the input
cannot be used
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("before", type=Path, metavar="BEFORE", help="a results file of run")
    parser.add_argument("after", type=Path, metavar="AFTER", help="the newer results file")
    parser.add_argument(
        "--limit",
        type=float,
        default=EFFECT_LIMIT * 100,
        metavar="PERCENT",
        help=f"smaller differences count as none (default: {EFFECT_LIMIT * 100:g})",
    )
    parser.add_argument(
        "--instruction-limit",
        type=float,
        default=INSTRUCTION_LIMIT * 100,
        metavar="PERCENT",
        help=f"the same of instruction counts (default: {INSTRUCTION_LIMIT * 100:g})",
    )
    parser.add_argument(
        "--across",
        type=_names,
        default=[],
        metavar="WHAT",
        help="runtime, system: may differ, since the question is what that changed",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit code 1 also where nothing could be decided, or something is missing",
    )
    parser.add_argument(
        "--out", type=Path, default=None, metavar="FILE", help="write the JSON document there, too"
    )


def run(options: argparse.Namespace, _: Sequence[str]) -> int:
    """Returns 0, 1 or 2 (see ``exit_code``); raises InputError for unusable input."""
    if not 0 < options.limit < 100 or not 0 <= options.instruction_limit < 100:
        raise InputError(
            "The limits are percentages between 0 and 100.",
            f"Give for example --limit {EFFECT_LIMIT * 100:g}.",
        )
    for name in options.across:
        if name not in ACROSS:
            raise InputError(f"--across {name} is not known.", f"Choose from: {', '.join(ACROSS)}.")
    comparison = compare_results(
        read_results(options.before),
        read_results(options.after),
        limit=options.limit / 100,
        instruction_limit=options.instruction_limit / 100,
        across=options.across,
    )
    text = json.dumps(document(comparison, strict=options.strict), indent=2)
    if options.out is not None:
        write_text(options.out, text + "\n")
    print(text if options.json else render(comparison))
    if options.out is not None:
        say(f"Wrote {options.out}")
    return exit_code(comparison, strict=options.strict)


def _names(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
