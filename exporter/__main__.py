"""``python -m exporter`` is ``squeezebert-export``."""

import sys

from exporter.entry import main

sys.exit(main())
