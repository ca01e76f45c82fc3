"""Files for the user, whole or not at all."""

from pathlib import Path

from runtime_bench.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` under another name first; raises InputError where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except (OSError, ValueError) as error:  # ValueError: a path without a file's name
        raise InputError(
            f"{path} cannot be written: {getattr(error, 'strerror', None) or error}.",
            "Choose another place with --out.",
        ) from None
