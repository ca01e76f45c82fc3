"""Where the command starts: importing the rest takes seconds, and Ctrl-C is quiet then too."""

import sys

INTERRUPTED = 130


def main() -> int:
    """Run ``squeezebert-export``; see ``exporter.cli``."""
    try:
        from exporter.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
