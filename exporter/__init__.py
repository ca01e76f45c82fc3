"""Takes a SqueezeBERT or BERT checkpoint to verified artifacts for phones."""

import os

# From 1.31 on, ONNX Runtime reports its use to its makers, from a thread and a database of its own.
# It reads this as it is loaded; who wants to report sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
