"""What lies in the bundle of the tiny checkpoint and the fake target."""

from pathlib import Path

EVERYTHING = [
    "README.md",
    "config.json",
    "fake/model.json",
    "fake/model.npz",
    "fake/model_int8.json",
    "fake/model_int8.npz",
    "manifest.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
]


def content(folder: Path) -> list[str]:
    """Every file below ``folder``, half-written ones included."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
