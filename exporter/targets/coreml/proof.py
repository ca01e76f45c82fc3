"""What goes into and beside a package once it is proved."""

from collections.abc import Mapping
from pathlib import Path

from exporter.filesystem import write_atomically
from exporter.targets.coreml.interpreter.formats import parse_model

_MODEL = Path("Data") / "com.apple.CoreML" / "model.mlmodel"


def say(path: Path, entries: Mapping[str, str]) -> None:
    """Add ``entries`` to what the package ``path`` says of itself; nothing else changes."""
    file = path / _MODEL
    model = parse_model(file.read_bytes())
    model.description.metadata.userDefined.update(entries)
    write_atomically(file, model.SerializeToString(deterministic=True))
