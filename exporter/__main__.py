"""``python -m exporter`` is ``squeezebert-export``."""

import sys

from exporter.cli import main

sys.exit(main())
