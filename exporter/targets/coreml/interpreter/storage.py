"""``weight.bin``: blobs one after the other, each behind 64 bytes that describe it.

The format: coremltools' ``MILBlob/Blob/StorageFormat.hpp`` and ``BlobDataType.hpp``. All of the
file has to be what the format says: a number that is not read is 0.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from exporter.targets.coreml.interpreter.bits import byte_count, element_bits, padding_is_zero
from exporter.targets.coreml.interpreter.errors import Unreadable

_ALIGNMENT = 64
_VERSION = 2
_SENTINEL = 0xDEADBEEF
#: Number of blobs, version; then what is reserved.
_HEADER = struct.Struct("<II56s")
#: Sentinel, type, size in bytes, where the blob begins, unused bits in its last byte; reserved.
_ENTRY = struct.Struct("<IIQQQ32s")

_TYPES = {
    1: "float16",
    2: "float32",
    3: "uint8",
    4: "int8",
    5: "bfloat16",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
    16: "float8e4m3fn",
    17: "float8e5m2",
}
#: bool has no number of its own: a blob of bools is one of uint8.
_STORED_AS = {"bool": "uint8"}


@dataclass(frozen=True)
class _Blob:
    dtype: str
    start: int
    size: int
    unused_bits: int


@dataclass(frozen=True)
class Storage:
    """An opened weight.bin; the blobs by where their entries lie, in the file's order."""

    content: memoryview
    blobs: Mapping[int, _Blob]

    def tensor(self, offset: int, dtype: str, shape: tuple[int, ...]) -> memoryview:
        """The bytes of the blob whose entry lies at ``offset``. Unreadable for another tensor."""
        blob = self.blobs.get(offset)
        if blob is None:
            raise Unreadable(f"its weight.bin has no entry at byte {offset}")
        if blob.dtype != _STORED_AS.get(dtype, dtype):
            raise Unreadable(
                f"the entry at byte {offset} of its weight.bin is {blob.dtype}, not {dtype}"
            )
        expected, size, bits = byte_count(dtype, shape), math.prod(shape), element_bits(dtype)
        unused = expected * 8 - size * bits
        if (blob.size, blob.unused_bits) != (expected, unused):
            raise Unreadable(
                f"the entry at byte {offset} of its weight.bin has {blob.size} bytes "
                f"({blob.unused_bits} bits of them unused), not the {expected} ({unused}) of "
                f"{dtype} {shape}"
            )
        content = self.content[blob.start : blob.start + blob.size]
        if not padding_is_zero(content, bits, size):
            raise Unreadable(f"the entry at byte {offset} of its weight.bin has unused bits set")
        return content


def read_storage(content: memoryview) -> Storage:
    """Walk through a weight.bin from its first entry to its end. Raises Unreadable."""
    if len(content) < _HEADER.size:
        raise Unreadable(f"its weight.bin has {len(content)} bytes and no header")
    count, version, reserved = _HEADER.unpack_from(content)
    if version != _VERSION or any(reserved):
        raise Unreadable("its weight.bin has an unknown format")
    blobs: dict[int, _Blob] = {}
    end = position = _HEADER.size
    for _ in range(count):
        blob = _entry(content, position)
        blobs[position] = blob
        end = blob.start + blob.size
        position = -(-end // _ALIGNMENT) * _ALIGNMENT
        if any(content[end:position]):
            raise Unreadable(f"its weight.bin has bytes after byte {end} that belong to no entry")
    if len(content) not in (end, position):
        raise Unreadable(f"its weight.bin goes on after the last of {count} entries")
    return Storage(content, blobs)


def _entry(content: memoryview, position: int) -> _Blob:
    start = position + _ENTRY.size
    if start > len(content):
        raise Unreadable(
            f"its weight.bin is truncated: an entry at byte {position} of {len(content)}"
        )
    sentinel, kind, size, found, unused, reserved = _ENTRY.unpack_from(content, position)
    if sentinel != _SENTINEL or kind not in _TYPES or found != start:
        raise Unreadable(f"its weight.bin has no valid entry at byte {position}")
    if any(reserved):
        raise Unreadable(f"the entry at byte {position} of its weight.bin has unknown fields")
    if start + size > len(content):
        raise Unreadable(
            f"its weight.bin is truncated: the entry at byte {position} ends at byte "
            f"{start + size} of {len(content)}"
        )
    return _Blob(_TYPES[kind], start, size, unused)
