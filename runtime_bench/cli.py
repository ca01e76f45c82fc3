"""``squeezebert-bench``: run, report, compare, profile, devices. The work is in the rooms."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime_bench import devices_command, run_command
from runtime_bench.arguments import command_line
from runtime_bench.comparison import command as comparison
from runtime_bench.errors import BenchError
from runtime_bench.profiling import command as profile
from runtime_bench.progress import say
from runtime_bench.report.base import choose_formats
from runtime_bench.report.content import build_content
from runtime_bench.results import read_results
from runtime_bench.written_files import write_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns 0, 1 (an entry failed), 2 (unusable input) or 130 (Ctrl-C)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = command_line().parse_args(given)
    commands = {
        "run": run_command.run,
        "report": _report,
        "compare": comparison.run,
        "profile": profile.run,
        "devices": devices_command.run,
    }
    try:
        return commands[options.command](options, ["squeezebert-bench", *given])
    except BenchError as error:
        say(f"squeezebert-bench: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("squeezebert-bench: Interrupted.")
        return run_command.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (for example: | head).
        sys.stderr.close()
        return 1


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
        write_text(target, text)
        say(f"Wrote {target}")
    if options.json:
        print(json.dumps(content.document(), indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
