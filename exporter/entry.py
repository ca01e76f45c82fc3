"""Where the command starts: importing the rest takes seconds, and Ctrl-C is quiet then too."""

import logging
import sys

INTERRUPTED = 130


def main() -> int:
    """Run ``squeezebert-export``; see ``exporter.cli``."""
    # PyTorch warns of how torchao registers its types, whenever something imports torchao.
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
    try:
        from exporter.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
