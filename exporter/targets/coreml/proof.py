"""What goes into and beside a package once it is proved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.filesystem import write_atomically
from exporter.quiet import apart

_MODEL = Path("Data") / "com.apple.CoreML" / "model.mlmodel"


def say(path: Path, entries: Mapping[str, str]) -> None:
    """Add ``entries`` to what the package ``path`` says of itself; nothing else changes."""
    with apart():  # coremltools talks as it is imported
        from coremltools.proto import Model_pb2

    file = path / _MODEL
    model: Any = Model_pb2.Model()
    model.ParseFromString(file.read_bytes())
    model.description.metadata.userDefined.update(entries)
    write_atomically(file, model.SerializeToString(deterministic=True))
