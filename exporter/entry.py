"""Where the command starts: importing the rest takes seconds, and Ctrl-C is quiet then too."""

import logging
import sys

INTERRUPTED = 130

# PyTorch warns of how torchao registers its types, whenever something imports torchao. Said here,
# so that it holds in processes of the command too: they begin with this module.
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)


def main() -> int:
    """Run ``squeezebert-export``; see ``exporter.cli``."""
    try:
        from exporter.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
