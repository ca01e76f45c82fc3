"""Where the command starts: importing the rest takes seconds, and Ctrl-C is quiet then too."""

import sys

INTERRUPTED = 130


def main() -> int:
    """Run ``squeezebert-bench``; see ``runtime_bench.cli``."""
    try:
        from runtime_bench.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
