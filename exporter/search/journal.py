"""What a search has measured already, so that an interrupted one goes on where it was."""

import json
import zlib
from pathlib import Path
from typing import Any

from exporter.filesystem import explained_os_errors


class Journal:
    """Results by key in a file of JSON lines. A result is on disk before the next is begun.

    Keys say everything that a result depends on. Every line has a checksum: one that was cut off by
    the end of a process, or that a disk has spoiled, is left out.
    """

    def __init__(self, path: Path) -> None:
        """Raises UserError when the file cannot be read or the folder not be made."""
        self._path = path
        self._known: dict[str, Any] = {}
        with explained_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text("utf-8", errors="replace") if path.exists() else ""
        lines = text.split("\n")
        for line in lines:
            try:
                checksum, key, value = json.loads(line)
            except (ValueError, TypeError):
                continue
            if checksum == _checksum(key, value):
                self._known[key] = value
        self._torn = bool(lines[-1])

    def get(self, key: str) -> Any:
        """The result, None where there is none."""
        return self._known.get(key)

    def count(self, prefix: str) -> int:
        """How many results have keys that begin like this."""
        return sum(key.startswith(prefix) for key in self._known)

    def put(self, key: str, value: Any) -> None:
        """Keep a result. Raises UserError when the disk or folder refuses."""
        line = f"{_text([_checksum(key, value), key, value])}\n"
        with explained_os_errors(self._path), self._path.open("a", encoding="utf-8") as stream:
            stream.write(f"\n{line}" if self._torn else line)
        self._torn = False
        self._known[key] = value


def _checksum(key: str, value: Any) -> str:
    """CRC-32 in hexadecimal digits: of what is read again, JSON gives the text it was read from."""
    return f"{zlib.crc32(_text([key, value]).encode()):08x}"


def _text(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))
