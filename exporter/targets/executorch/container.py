"""The outer shell of a .pte file: header, program, segments and named data.

Layout: a FlatBuffer (schema/program.fbs of ExecuTorch) with an extended header behind its
identifier, then the segments (exir/_serialize/_program.py).
"""

import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from exporter.targets.executorch.flatbuffer import Damaged, Record, parse_schema, read_root

Element = TypeVar("Element")

_IDENTIFIER = b"ET12"
_HEADER_MAGIC = b"eh00"
_HEADER = struct.Struct("<IQQQ")  # its own size, program, base of the segments, their size
#: Bytes before the header, its magic included.
_HEADER_START = 12
_HEADER_SIZE = 32
_SCHEMA_VERSION = 0


@dataclass(frozen=True)
class Container:
    """The program's tables, and views of the mapped file for everything that lies behind them."""

    program: Record
    segments: tuple[memoryview, ...]
    named_data: Mapping[str, memoryview]

    def constant(self, index: int, size: int) -> memoryview:
        """The ``size`` bytes of a constant tensor (not of a delegate's). Raises Damaged."""
        buffers = self.program["constant_buffer"]
        if buffers:
            content = memoryview(element(buffers, index, "constant")["storage"])
        else:
            place = self.program["constant_segment"] or {"segment_index": 0, "offsets": ()}
            start = element(place["offsets"], index, "constant")
            segment = element(self.segments, place["segment_index"], "segment")
            last = index + 1 == len(place["offsets"])
            end = len(segment) if last else place["offsets"][index + 1]
            content = segment[start:end]
        if size > len(content):
            raise Damaged("a constant is shorter than its shape asks for")
        return content[:size]


def open_container(path: Path) -> Container:
    """Map the file and read its program. Raises Damaged, and OSError if it cannot be opened."""
    data = _mapped(path)
    if len(data) < _HEADER_START or data[4:6] != _IDENTIFIER[:2]:
        raise Damaged("it is no .pte file")
    if data[4:8] != _IDENTIFIER:
        found = bytes(data[4:8]).decode("latin-1")
        raise Damaged(f"its format is {found!r}, only {_IDENTIFIER.decode()!r} can be read")
    program_size, base, size = _header(data)
    schema_folder = files("executorch") / "schema"
    schema = parse_schema(
        *((schema_folder / name).read_text() for name in ("scalar_type.fbs", "program.fbs"))
    )
    program = read_root(bytes(data[:program_size]), schema, "Program")
    if program["version"] != _SCHEMA_VERSION:
        raise Damaged(f"its schema has the version {program['version']}, not {_SCHEMA_VERSION}")
    segments = tuple(
        _segment(data, base, size, segment["offset"], segment["size"])
        for segment in program["segments"]
    )
    named_data: dict[str, memoryview] = {}
    for entry in program["named_data"]:
        if entry["key"] in named_data:
            raise Damaged("two of its named data have the same name")
        named_data[entry["key"]] = element(segments, entry["segment_index"], "segment")
    return Container(program, segments, named_data)


def element(elements: Sequence[Element], index: int, what: str) -> Element:
    """``elements[index]``; Damaged where there is none."""
    if not 0 <= index < len(elements):
        raise Damaged(f"it refers to {what} {index}, but there are only {len(elements)}")
    return elements[index]


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        try:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError as error:
            raise Damaged("it is empty") from error


def _header(data: memoryview) -> tuple[int, int, int]:
    """Size of the program, and where the segments begin and how long they are, in bytes."""
    if data[8:_HEADER_START] != _HEADER_MAGIC:
        return len(data), len(data), 0
    if len(data) < _HEADER_START + _HEADER.size:
        raise Damaged("it is cut off")
    header_size, program_size, base, size = _HEADER.unpack_from(data, _HEADER_START)
    if header_size != _HEADER_SIZE or program_size > base:
        raise Damaged("its header is damaged")
    if base + size > len(data):
        raise Damaged(f"it is cut off: {base + size} bytes are promised, there are {len(data)}")
    if base + size < len(data):
        raise Damaged(f"there are {len(data) - base - size} bytes behind its end")
    return program_size, base, size


def _segment(data: memoryview, base: int, limit: int, offset: int, size: int) -> memoryview:
    if offset + size > limit:
        raise Damaged("one of its segments lies outside the file")
    return data[base + offset : base + offset + size]
