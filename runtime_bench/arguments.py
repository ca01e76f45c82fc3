"""The command line of ``squeezebert-bench``."""

import argparse
from pathlib import Path
from typing import Any

from runtime_bench.comparison import command as comparison
from runtime_bench.plan import DEFAULT_LENGTHS, Settings
from runtime_bench.profiling import command as profile

_EPILOG = """\
BUNDLE is a folder that squeezebert-export made (build, or baseline for a stock export), or
FOLDER:ARTIFACT for one of its files, such as out/mnli:onnx/model_int8.onnx. A file whose hash is
not the one in the bundle's manifest is not measured.

exit codes: 0 done; 1 an artifact, the device or a gate failed; 2 the input cannot be used; 130
interrupted
"""

_RUN_EXAMPLES = """\
examples:
  squeezebert-bench run out/mnli --baseline out/stock-bert
  squeezebert-bench run out/mnli --baseline out/stock-bert --lengths 32,128,384 --threads 1,2
  squeezebert-bench run out/mnli:onnx/model_int8.onnx --baseline out/mnli:onnx/model.onnx
  squeezebert-bench run out/mnli --baseline out/stock-bert --dry-run
  squeezebert-bench run out/mnli --baseline out/stock-bert --resume
  squeezebert-bench run out/mnli --baseline out/stock-bert --device adb --cores big
  squeezebert-bench run out/mnli --baseline out/stock-bert --device app
  squeezebert-bench run out/mnli --device arm64 --lengths 128 --gate-instructions before.jsonl

how it measures:
  baseline   what every artifact is compared with: ratios say how many times as fast it is
  case       one number of tokens with one number of threads; the batch is always 1
  warm-up    runs before a case, until two windows of them agree; they count for nothing
  block      runs of one artifact without a break, each of them timed (--seconds-per-block)
  round      a block of every artifact, in turns; the next round goes backwards (A B B A), so that
             a machine that becomes slower does so for all of them (--blocks: rounds, even)
  peak       the machine's fp32 matrix products, measured beside: what could be reached at most

Every artifact runs in a process of its own, and one at a time computes. Every sample goes into the
results file as it comes: after an interruption or a lost cable the same command with --resume goes
on. Phones (adb) and host:native compute with the native runners, and their outputs are compared
with this machine's before anything is timed. The emulated Arm device (arm64) counts executed
instructions in place of timing. Both need: make native. On a phone with the Android app (make apk)
--device app lets the app measure, with its own engines and all models in one process.
"""

_REPORT_EXAMPLES = """\
examples:
  squeezebert-bench report results.jsonl
  squeezebert-bench report results.jsonl --format markdown,html --out out/report
  squeezebert-bench report results.jsonl --format ladder

in the tables:
  median, p90, p99   milliseconds for one text: half, 90 % and 99 % of the runs took no longer
  CPU                the median of the processor's time in a run, over all threads
  load               milliseconds until the model was ready to run
  MB memory          the peak of the process with the model, less what it had before loading it
  of peak            the model's multiplications as a share of what the machine's own fp32 matrix
                     products reached in the same run
  95 % interval      bootstrap over the rounds: where the ratio lies but for chance
"""

_PROFILE_EXAMPLES = """\
examples:
  squeezebert-bench profile out/mnli
  squeezebert-bench profile out/mnli --baseline out/stock-bert --length 128 --runs 50
  squeezebert-bench profile out/mnli --artifacts onnx/model_int8.onnx --out profile.json

The runtimes' own profilers time every operator; operators of one kind (matrix products, attention,
LayerNorm, ...) are added up, in one table for all runtimes. Profiling costs time itself: take the
latencies from run, and only the shares from here.
"""

_DEVICES_EXAMPLES = """\
examples:
  squeezebert-bench devices
  squeezebert-bench devices --json

Says what each device is, what it can run, and what speaks against measuring there now.
"""


def command_line() -> argparse.ArgumentParser:
    """The command line of ``squeezebert-bench``; ``command`` names the command chosen."""
    parser = argparse.ArgumentParser(
        prog="squeezebert-bench",
        description="Measures the latency of exported bundles, side by side with baselines.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    default = Settings()

    run = _command(
        commands,
        "run",
        "measure bundles, interleaved with baselines",
        f"{_RUN_EXAMPLES}\n{_EPILOG}",
    )
    _add_selection(run)
    usual = ",".join(map(str, DEFAULT_LENGTHS))
    run.add_argument(
        "--lengths",
        type=_numbers,
        default=None,
        help=f"numbers of tokens, with commas (default: {usual}, as far as the models take them)",
    )
    run.add_argument(
        "--threads",
        type=_numbers,
        default=[1],
        help="numbers of threads, with commas, such as 1,2 (default: 1)",
    )
    run.add_argument(
        "--out",
        type=Path,
        default=Path("results.jsonl"),
        metavar="FILE",
        help="the results file (default: results.jsonl)",
    )
    run.add_argument(
        "--device",
        type=_names,
        default=["host"],
        metavar="DEVICES",
        help="where, with commas for several at once: host, host:native, adb:SERIAL, app:SERIAL, "
        "arm64:PROFILE "
        "(default: host; see: squeezebert-bench devices)",
    )
    run.add_argument(
        "--blocks",
        type=int,
        default=default.blocks,
        metavar="N",
        help=f"rounds for each case, an even number (default: {default.blocks})",
    )
    run.add_argument(
        "--seconds-per-block",
        type=float,
        default=default.seconds_per_block,
        metavar="SECONDS",
        help=f"how long an artifact's turn lasts (default: {default.seconds_per_block})",
    )
    run.add_argument(
        "--warm-up-limit",
        type=float,
        default=default.warm_up_limit,
        metavar="SECONDS",
        help=f"a warm-up ends after this, steady or not (default: {default.warm_up_limit:g})",
    )
    run.add_argument(
        "--most-blocks",
        type=int,
        default=None,
        metavar="N",
        help="rounds are added up to this number while a ratio's interval is wider than "
        f"{100 * default.interval_goal:g} %% to either side (default: twice --blocks)",
    )
    run.add_argument(
        "--cores",
        default=default.cores,
        help="of a phone: big, middle, little, or all, which binds to none (default: all)",
    )
    run.add_argument(
        "--starts",
        type=int,
        default=None,
        metavar="N",
        help="cold and warm starts of every artifact (default: 3 on phones, 0 elsewhere)",
    )
    run.add_argument(
        "--pause-limit",
        type=float,
        default=None,
        metavar="SECONDS",
        help="how long a device that became slower may cool before the round is measured again; "
        "0: do not watch (default: 300 on phones, 0 elsewhere)",
    )
    run.add_argument(
        "--despite-gates",
        action="store_true",
        help="measure a device that is too hot, too empty or too busy all the same",
    )
    run.add_argument(
        "--gate-instructions",
        type=Path,
        default=None,
        metavar="RESULTS",
        help="for --device arm64: exit with 1 if an artifact executes more instructions than in "
        "these earlier results, with 2 if one of them was not counted or cannot be compared",
    )
    _add_step_limit(run)
    _add_seed(run)
    run.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    run.add_argument("--dry-run", action="store_true", help="print the plan, measure nothing")

    report = _command(
        commands,
        "report",
        "tables and plots from a results file",
        _REPORT_EXAMPLES,
    )
    report.add_argument("results", type=Path, metavar="RESULTS", help="a results file of run")
    report.add_argument(
        "--out", type=Path, default=None, metavar="FOLDER", help="default: beside RESULTS"
    )
    report.add_argument(
        "--format",
        type=_names,
        default=["terminal", "markdown", "html"],
        help="terminal, markdown (report.md), html (report.html), ladder (ladder.html, the paper's "
        "table on this device), with commas (default: the first three)",
    )

    profiled = _command(
        commands,
        "profile",
        "the time of each kind of operator",
        f"{_PROFILE_EXAMPLES}\n{_EPILOG}",
    )
    _add_selection(profiled)
    profile.add_options(profiled)
    _add_step_limit(profiled)
    _add_seed(profiled)

    compared = _command(commands, "compare", comparison.SUMMARY, comparison.EXAMPLES)
    comparison.add_options(compared)

    _command(commands, "devices", "where measurements can run", _DEVICES_EXAMPLES)
    return parser


def _command(commands: Any, name: str, summary: str, epilog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """The options that choose artifacts."""
    parser.add_argument(
        "bundles", nargs="+", metavar="BUNDLE", help="FOLDER (all its artifacts) or FOLDER:ARTIFACT"
    )
    parser.add_argument(
        "--baseline",
        nargs="+",
        action="append",
        default=[],
        metavar="BUNDLE",
        help="what every artifact is compared with; may be repeated",
    )
    parser.add_argument(
        "--artifacts",
        type=_names,
        default=[],
        metavar="PATHS",
        help="of BUNDLE only these, with commas, such as onnx/model.onnx,onnx/model_int8.onnx",
    )


def _add_step_limit(parser: argparse.ArgumentParser) -> None:
    limit = Settings().step_limit
    parser.add_argument(
        "--step-limit",
        type=float,
        default=limit,
        metavar="SECONDS",
        help=f"a process that does not answer for so long counts as hung (default: {limit:g})",
    )


def _add_seed(parser: argparse.ArgumentParser) -> None:
    seed = Settings().seed
    parser.add_argument(
        "--seed", type=int, default=seed, help=f"of the random token ids (default: {seed})"
    )


def _numbers(text: str) -> list[int]:
    try:
        return [int(item) for item in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of whole numbers such as 32,128"
        ) from None


def _names(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
