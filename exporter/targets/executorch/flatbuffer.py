"""A strict reader of FlatBuffers, driven by the schema files that the runtime ships.

The generated readers trust the file: a damaged one makes them loop or fail anywhere. Here every
offset is checked, what the schema does not know is refused, and the work is bounded by the size.
The binary format: https://flatbuffers.dev/internals
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: A table: values by field name. Scalars are int, float or bool; enumerations are their names;
#: strings str (absent: ''); vectors tuples, of bytes a memoryview (absent: empty); tables again
#: records (absent: None); unions ``(type name, record)`` (absent: ``("", {})``).
Record = dict[str, Any]

_SCALARS = {
    **dict.fromkeys(("byte", "int8"), "b"),
    **dict.fromkeys(("ubyte", "uint8"), "B"),
    **dict.fromkeys(("short", "int16"), "h"),
    **dict.fromkeys(("ushort", "uint16"), "H"),
    **dict.fromkeys(("int", "int32"), "i"),
    **dict.fromkeys(("uint", "uint32"), "I"),
    **dict.fromkeys(("long", "int64"), "q"),
    **dict.fromkeys(("ulong", "uint64"), "Q"),
    **dict.fromkeys(("float", "float32"), "f"),
    **dict.fromkeys(("double", "float64"), "d"),
    "bool": "?",
}

#: A damaged file could refer to the same tables again and again. As they are written, files refer
#: to each table and vector once; texts may be shared.
_READS_PER_BYTE = 4


class Damaged(Exception):
    """The bytes are not what the format promises; the message says what is wrong."""


@dataclass(frozen=True)
class _Field:
    name: str
    type: str
    is_vector: bool
    default: str
    deprecated: bool


@dataclass(frozen=True)
class Schema:
    """The tables (fields in order of their slots), enumerations and unions of a schema."""

    tables: Mapping[str, tuple[_Field, ...]]
    enumerations: Mapping[str, tuple[str, Mapping[int, str]]]
    unions: Mapping[str, tuple[tuple[str, str], ...]]


def parse_schema(*texts: str) -> Schema:
    """The schema in the text of .fbs files (a file and those that it includes).

    Covers what the schemas of ExecuTorch and XNNPACK use: no structs, no explicit ids, vectors of
    scalars, texts and tables only.
    """
    text = re.sub(r"//[^\n]*", "", "\n".join(texts))
    enumerations = {}
    for name, base, body in re.findall(r"\benum\s+(\w+)\s*:\s*(\w+)\s*{([^}]*)}", text):
        members = re.findall(r"(\w+)\s*=\s*(-?\d+)", body)
        enumerations[name] = base, {int(value): member for member, value in members}
    unions = {
        name: tuple(
            (member, table or member)
            for member, table in re.findall(r"(\w+)\s*(?::\s*(\w+))?\s*(?:,|$)", body.strip())
        )
        for name, body in re.findall(r"\bunion\s+(\w+)\s*{([^}]*)}", text)
    }
    declaration = r"(\w+)\s*:\s*(\[?)\s*(\w+)\s*\]?\s*(?:=\s*([\w.-]+))?\s*(\([^)]*\))?\s*;"
    tables = {
        name: tuple(
            _Field(field, kind, bool(bracket), default, "deprecated" in attributes)
            for field, bracket, kind, default, attributes in re.findall(declaration, body)
        )
        for name, body in re.findall(r"\btable\s+(\w+)\s*{([^}]*)}", text)
    }
    return Schema(tables, enumerations, unions)


def read_root(data: bytes, schema: Schema, table: str) -> Record:
    """The root of a FlatBuffer. Raises Damaged."""
    reader = _Reader(data, schema)
    return reader.table(table, reader.follow(0))


class _Reader:
    """Reads one buffer, and counts what it reads."""

    def __init__(self, data: bytes, schema: Schema) -> None:
        self._data = data
        self._schema = schema
        self._left = _READS_PER_BYTE * len(data)

    def follow(self, position: int) -> int:
        """Where the unsigned offset at ``position`` leads."""
        return position + int(self._scalar("I", position))

    def table(self, name: str, position: int) -> Record:
        start = position - int(self._scalar("i", position))
        size, width = int(self._scalar("H", start)), int(self._scalar("H", start + 2))
        if start < 0 or size < 4 or size % 2 or width < 4:
            raise Damaged(f"a table of type {name} has no valid layout")
        self._check(start, size)
        self._take(position, width)
        slots = iter(struct.unpack_from(f"<{size // 2 - 2}H", self._data, start + 4))
        record = {}
        for field in self._schema.tables[name]:
            record[field.name] = self._field(name, field, position, width, slots)
        if any(slots):
            raise Damaged(f"a table of type {name} has fields that this version does not know")
        return record

    def _field(
        self, table: str, field: _Field, position: int, width: int, slots: Iterator[int]
    ) -> Any:
        if field.type in self._schema.unions and not field.is_vector:
            return self._union(field.type, position, width, slots)
        slot = next(slots, 0)
        if slot and field.deprecated:
            raise Damaged(f"{table}.{field.name} is deprecated, but in use")
        if slot and slot + self._inline_width(field) > width:
            raise Damaged(f"{table}.{field.name} lies outside its table")
        if field.is_vector:
            if not slot:
                return memoryview(b"") if _SCALARS.get(field.type) == "B" else ()
            return self._vector(field.type, self.follow(position + slot))
        if field.type == "string":
            return self._string(self.follow(position + slot)) if slot else ""
        if field.type in self._schema.tables:
            return self.table(field.type, self.follow(position + slot)) if slot else None
        if field.type in self._schema.enumerations:
            base, names = self._schema.enumerations[field.type]
            if not slot and field.default in names.values():
                return field.default
            value = self._scalar(_SCALARS[base], position + slot) if slot else 0
            if value not in names:
                raise Damaged(f"{table}.{field.name} has the unknown value {value}")
            return names[int(value)]
        if slot:
            return self._scalar(_SCALARS[field.type], position + slot)
        default = float(field.default or 0)
        code = _SCALARS[field.type]
        return default if code in "fd" else bool(default) if code == "?" else int(default)

    def _inline_width(self, field: _Field) -> int:
        kind, _ = self._schema.enumerations.get(field.type, (field.type, {}))
        return 4 if field.is_vector else struct.calcsize(_SCALARS.get(kind, "I"))

    def _union(
        self, name: str, position: int, width: int, slots: Iterator[int]
    ) -> tuple[str, Record]:
        kind_slot, slot = next(slots, 0), next(slots, 0)
        if kind_slot >= width or (slot and slot + 4 > width):
            raise Damaged(f"a union of type {name} lies outside its table")
        kind = int(self._scalar("B", position + kind_slot)) if kind_slot else 0
        members = self._schema.unions[name]
        if kind == 0 and not slot:
            return "", {}
        if not slot or not 0 < kind <= len(members):
            raise Damaged(f"a union of type {name} has the unknown kind {kind}")
        member, table = members[kind - 1]
        return member, self.table(table, self.follow(position + slot))

    def _vector(self, kind: str, position: int) -> Any:
        count = int(self._scalar("I", position))
        position += 4
        code = _SCALARS.get(kind, "I")
        self._take(position, count * struct.calcsize(code))
        if code == "B":
            return memoryview(self._data)[position : position + count]
        values = struct.unpack_from(f"<{count}{code}", self._data, position)
        if kind in _SCALARS:
            return values
        places = (position + 4 * index + offset for index, offset in enumerate(values))
        if kind == "string":
            return tuple(self._string(place) for place in places)
        return tuple(self.table(kind, place) for place in places)

    def _string(self, position: int) -> str:
        count = int(self._scalar("I", position))
        self._take(position + 4, count)
        try:
            return self._data[position + 4 : position + 4 + count].decode()
        except UnicodeDecodeError as error:
            raise Damaged("a text is not UTF-8") from error

    def _scalar(self, code: str, position: int) -> int | float:
        self._check(position, struct.calcsize(code))
        value: int | float = struct.unpack_from(f"<{code}", self._data, position)[0]
        return value

    def _check(self, position: int, size: int) -> None:
        if position < 0 or position + size > len(self._data):
            raise Damaged("an offset leads out of the file")

    def _take(self, position: int, size: int) -> None:
        self._check(position, size)
        self._left -= size
        if self._left < 0:
            raise Damaged("its tables refer to each other in circles")
