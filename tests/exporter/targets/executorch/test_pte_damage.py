"""Damaged files: each one is refused as the user's mistake, or read, and never anything else."""

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from lowered_modules import CONSTANTS, Tiny, lower

from exporter.errors import UserError
from exporter.targets.executorch.constant import ConstantReference
from exporter.targets.executorch.container import open_container
from exporter.targets.executorch.program import DelegateCall, read_program
from exporter.targets.executorch.structure import operators, structure

pytestmark = pytest.mark.usefixtures("quick")

ROUNDS = 400


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage")
    return lower(folder / "int4.pte", Tiny(precision="int4"), constants=CONSTANTS)


def refuse(path: Path, data: bytes, cause: str) -> None:
    path.write_bytes(data)
    with pytest.raises(UserError, match=cause) as caught:
        read_program(path)
    assert "Build it again: squeezebert-export build MODEL OUT --force" in str(caught.value)


def test_what_is_no_pte_file(original: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "model.pte", original.read_bytes()
    refuse(path, b"", "it is empty")
    refuse(path, b"hello", "no .pte file")
    refuse(path, random.Random(0).randbytes(5000), "no .pte file")
    refuse(path, data[:4] + b"ET11" + data[8:], "format is 'ET11'")
    with pytest.raises(UserError, match="No such file"):
        read_program(tmp_path / "absent.pte")
    with pytest.raises(UserError, match="directory"):
        read_program(tmp_path)


def test_cut_off_anywhere(original: Path, tmp_path: Path) -> None:
    data = original.read_bytes()
    for length in (*range(1, 200, 7), *range(200, len(data), 997), len(data) - 1):
        refuse(tmp_path / "model.pte", data[:length], "cannot be read as an ExecuTorch program")
    refuse(tmp_path / "model.pte", data[: len(data) // 2], f"{len(data)} bytes are promised")


def test_sizes_in_the_header(original: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "model.pte", original.read_bytes()
    (size,) = struct.unpack_from("<Q", data, 32)
    for offset, other, cause in (
        (32, size + 1, "cut off"),
        (32, size - 1, "1 bytes behind its end"),
        (16, 2**63, "header is damaged"),
        (16, 100, "out of the file"),
        (24, 2**63, "cut off"),
        (12, 24, "header is damaged"),
    ):
        width = "<I" if offset == 12 else "<Q"
        changed = bytearray(data)
        struct.pack_into(width, changed, offset, other)
        refuse(path, bytes(changed), cause)
    refuse(path, data + b"\0", "1 bytes behind its end")
    refuse(path, data[:8] + b"eh99" + data[12:], "segment")


def test_segments_outside_the_file(original: Path, tmp_path: Path) -> None:
    """Every table of a segment (offset, size) is found by its content and made longer."""
    path, data = tmp_path / "model.pte", original.read_bytes()
    segments = open_container(original).program["segments"]
    last = max(segments, key=lambda segment: int(segment["offset"]))
    for name in ("offset", "size"):
        old = struct.pack("<Q", last[name])
        places = [p for p in range(0, 4000, 4) if data[p : p + 8] == old]
        refused = 0
        for place in places:
            changed = bytearray(data)
            struct.pack_into("<Q", changed, place, last[name] + len(data))
            path.write_bytes(changed)
            try:
                read_program(path)
            except UserError as error:
                refused += "one of its segments lies outside the file" in str(error)
        assert refused == sum(segment[name] == last[name] for segment in segments)


def test_delegates_that_cannot_be_parsed(original: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "model.pte", original.read_bytes()
    blob = delegate(original)
    start = data.index(bytes(blob))
    size, graph, length, base, constants = struct.unpack_from("<HIIIQ", blob, 8)
    for offset, content, cause in (
        (4, b"XH01", "no XNNPACK graph"),
        (8, struct.pack("<H", size + 2), "header of an XNNPACK graph"),
        (10, struct.pack("<I", len(blob)), "header of an XNNPACK graph"),
        (14, struct.pack("<I", length // 2), "cannot be read"),
        (18, struct.pack("<I", base + 1), "an XNNPACK graph is cut off"),
        (22, struct.pack("<Q", constants + 1), "an XNNPACK graph is cut off"),
        (graph + 4, b"XN00", "format of an XNNPACK graph"),
    ):
        place = start + offset
        refuse(path, data[:place] + content + data[place + len(content) :], cause)


def test_named_data_that_are_missing_or_too_short(original: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "model.pte", original.read_bytes()
    key = next(iter(open_container(original).named_data)).encode()
    places = [p for p in range(len(data)) if data.startswith(key, p)]
    assert len(places) == 2  # in the program's list, and in the graph that uses it
    for place in places:
        refuse(path, data[:place] + b"x" + data[place + 1 :], "constant .* is not in the file")


def delegate(path: Path) -> memoryview:
    (call,) = (
        c for c in read_program(path).methods["forward"].calls if isinstance(c, DelegateCall)
    )
    return call.blob.content


def flip(data: bytearray, place: int, chance: random.Random) -> None:
    data[place] ^= 1 << chance.randrange(8)


def set_byte(data: bytearray, place: int, chance: random.Random) -> None:
    data[place] = chance.choice((0, 1, 4, 127, 128, 255))


def set_word(data: bytearray, place: int, chance: random.Random) -> None:
    data[place : place + 4] = struct.pack("<I", chance.choice((0, 1, 64, 2**31, 2**32 - 1)))


@pytest.mark.parametrize("change", [flip, set_byte, set_word])
def test_random_damage_is_refused_or_read(
    original: Path, tmp_path: Path, change: Callable[[bytearray, int, random.Random], None]
) -> None:
    """Within the program and the delegate's graph; what is read can be used to its end."""
    data = original.read_bytes()
    blob = delegate(original)
    start = data.index(bytes(blob))
    (program_size,) = struct.unpack_from("<Q", data, 16)
    places = [*range(program_size), *range(start, start + len(blob))]
    chance = random.Random(0)
    path = tmp_path / "model.pte"
    expected = structure(read_program(original))
    refused = noticed = 0
    for _ in range(ROUNDS):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 5))):
            change(damaged, chance.choice(places), chance)
        path.write_bytes(damaged[: len(data)])
        try:
            program = read_program(path)
        except UserError:
            refused += 1
            continue
        noticed += structure(program) != expected
        operators(program)
        for method in program.methods.values():
            for call in method.calls:
                for argument in call.arguments:
                    if isinstance(argument, ConstantReference):
                        argument.array()
                graph = call.graph if isinstance(call, DelegateCall) else None
                for value in graph.values.values() if graph is not None else ():
                    if value.constant is not None:
                        value.constant.array()
                        value.step()
    assert refused > ROUNDS / 10
    assert noticed > 0
