"""File transfer: the ``sync:`` service, version 1.

Source of the format: packages/modules/adb/SYNC.TXT of the Android Open Source Project.
"""

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from .daemon import Stream

_CHUNK = 64 * 1024


class Storage(Protocol):
    """Where files lie, and what happens to them on the way."""

    def place(self, path: str) -> Path: ...

    def arriving(self, path: str, chunk: bytes) -> bytes:
        """A chunk of a push as the phone stores it; raises OSError where it cannot."""
        ...

    def leaving(self, path: str, chunk: bytes) -> bytes:
        """A chunk of a pull as the client gets it; raises OSError where it cannot."""
        ...


def serve_sync(stream: Stream, storage: Storage) -> None:
    """Answer requests until QUIT or the end of the stream."""
    while True:
        request, size = struct.unpack("<4sI", stream.read(8))
        path = stream.read(size).decode()
        if request == b"STAT":
            stream.write(struct.pack("<4s3I", b"STAT", *_stat(storage.place(path))))
        elif request == b"LIST":
            stream.write(b"".join(_entries(storage.place(path))))
        elif request == b"SEND":
            _receive(stream, storage, *path.rsplit(",", 1))
        elif request == b"RECV":
            _send(stream, storage, path)
        elif request == b"QUIT":
            return
        else:
            _fail(stream, f"unknown request {request!r}")


def _stat(place: Path) -> tuple[int, int, int]:
    """Mode, size and time of change; zeros where there is nothing."""
    try:
        found = place.lstat()
    except OSError:
        return 0, 0, 0
    return found.st_mode, found.st_size, int(found.st_mtime)


def _entries(folder: Path) -> Iterator[bytes]:
    for item in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = item.name.encode()
        yield struct.pack("<4s4I", b"DENT", *_stat(item), len(name)) + name
    yield struct.pack("<4s4I", b"DONE", 0, 0, 0, 0)


def _receive(stream: Stream, storage: Storage, path: str, mode: str) -> None:
    problem = ""
    place = storage.place(path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"")
    except OSError as error:
        problem = f"couldn't create file: {error.strerror}"
    while True:
        request, size = struct.unpack("<4sI", stream.read(8))
        if request == b"DONE":
            break
        chunk = stream.read(size)
        if problem:
            continue  # a phone reads to the end before it says what was wrong
        try:
            with place.open("ab") as file:
                file.write(storage.arriving(path, chunk))
        except OSError as error:
            problem = f"couldn't write file: {error.strerror}"
            place.unlink(missing_ok=True)
    if problem:
        _fail(stream, problem)
        return
    place.chmod(stat.S_IMODE(int(mode)))
    os.utime(place, (size, size))  # DONE carries the time of change where others carry a size
    stream.write(struct.pack("<4sI", b"OKAY", 0))


def _send(stream: Stream, storage: Storage, path: str) -> None:
    try:
        with storage.place(path).open("rb") as file:
            while chunk := file.read(_CHUNK):
                content = storage.leaving(path, chunk)
                stream.write(struct.pack("<4sI", b"DATA", len(content)) + content)
    except OSError as error:
        _fail(stream, f"read failed: {error.strerror}")
        return
    stream.write(struct.pack("<4sI", b"DONE", 0))


def _fail(stream: Stream, problem: str) -> None:
    content = problem.encode()
    stream.write(struct.pack("<4sI", b"FAIL", len(content)) + content)
