"""The messages of the adb transport: 24 bytes of head, then the payload.

Source of the format: packages/modules/adb/protocol.txt of the Android Open Source Project.
"""

import socket
import struct
from dataclasses import dataclass

VERSION = 0x01000001  # the first without checksums of payloads
MAXIMUM_PAYLOAD = 256 * 1024
AUTH_TOKEN, AUTH_SIGNATURE, AUTH_PUBLIC_KEY = 1, 2, 3
_HEAD = struct.Struct("<6I")


@dataclass(frozen=True)
class Message:
    """``name`` is CNXN, AUTH, OPEN, WRTE, OKAY or CLSE; ``first`` and ``second`` its arguments."""

    name: str
    first: int
    second: int
    payload: bytes = b""


def encode(message: Message) -> bytes:
    number = int.from_bytes(message.name.encode(), "little")
    payload = message.payload
    size, checksum = len(payload), sum(payload) & 0xFFFFFFFF
    magic = number ^ 0xFFFFFFFF
    return _HEAD.pack(number, message.first, message.second, size, checksum, magic) + payload


def read_message(connection: socket.socket) -> Message | None:
    """The next message, or None at the end of the connection."""
    head = _read(connection, _HEAD.size)
    if head is None:
        return None
    number, first, second, size, _, magic = _HEAD.unpack(head)
    if number ^ 0xFFFFFFFF != magic:
        raise ValueError(f"{head!r} is no head of a message")
    payload = _read(connection, size)
    if payload is None:
        return None
    return Message(number.to_bytes(4, "little").decode(), first, second, payload)


def _read(connection: socket.socket, size: int) -> bytes | None:
    content = bytearray()
    while len(content) < size:
        try:
            chunk = connection.recv(size - len(content))
        except OSError:
            return None
        if not chunk:
            return None
        content += chunk
    return bytes(content)
