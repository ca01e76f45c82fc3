"""Which class an instruction is counted in: our masks against the disassembler's mnemonics."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from emulated_programs import needs_cross_compiler

from runtime_bench.emulation.set_up import PLUGIN_SOURCES

pytestmark = needs_cross_compiler

CLASSES = {
    **dict.fromkeys(("sdot", "udot", "usdot", "sudot"), "dot"),
    **dict.fromkeys(("smmla", "ummla", "usmmla"), "matrix"),
    "fmla": "fmla",
}
PROGRAM = """
#include <stdio.h>
#include "classes.h"
int main(void)
{
    static const char *const names[CLASS_COUNT] = {"other", "dot", "matrix", "fmla"};
    uint32_t word;
    while (fread(&word, sizeof word, 1, stdin) == 1)
        puts(names[classify(word)]);
    return 0;
}
"""
HEADER = (PLUGIN_SOURCES / "classes.h").read_text(encoding="ascii")
ENCODINGS = [
    (int(mask, 16), int(value, 16), name.lower())
    for mask, value, name in re.findall(r"\{0x(\w+)u, 0x(\w+)u, (\w+)\}", HEADER)
]


def sample() -> np.ndarray:
    """Words of every encoding with random fields, the same with any one bit flipped, and noise."""
    generator = np.random.default_rng(0)
    words = [generator.integers(0, 1 << 32, 4000, dtype=np.uint32)]
    for mask, value, _ in ENCODINGS:
        fields = generator.integers(0, 1 << 32, 40, dtype=np.uint32) & np.uint32(~mask % (1 << 32))
        plain = fields | np.uint32(value)
        words.append(plain)
        words += [plain ^ np.uint32(1 << bit) for bit in range(32)]
    return np.concatenate(words)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, list[str]]:
    """Words that are instructions, and their class by the mnemonic."""
    path = tmp_path_factory.mktemp("words") / "words.bin"
    words = sample()
    path.write_bytes(words.astype("<u4").tobytes())
    command = ["aarch64-linux-gnu-objdump", "-D", "-z", "-b", "binary", "-m", "aarch64", str(path)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^ *[0-9a-f]+:\t([0-9a-f]{8}) \t(\S+)(.*)$", listing, re.MULTILINE)
    assert len(lines) == len(words)
    known = [line for line in lines if line[1] != ".inst"]
    # The same mnemonics over z registers are SVE.
    names = [
        "other" if re.match(r"\s*z\d", operands) else CLASSES.get(mnemonic, "other")
        for _, mnemonic, operands in known
    ]
    return np.array([int(word, 16) for word, _, _ in known], np.uint32), names


def by_the_plugin(folder: Path, words: np.ndarray) -> list[str]:
    (folder / "classify.c").write_text(PROGRAM, encoding="ascii")
    program = folder / "classify"
    command = ["gcc", "-I", str(PLUGIN_SOURCES), str(folder / "classify.c"), "-o", str(program)]
    subprocess.run(command, check=True)
    given = words.astype("<u4").tobytes()
    return (
        subprocess.run([program], input=given, capture_output=True, check=True)
        .stdout.decode()
        .split()
    )


def by_table(encodings: list[tuple[int, int, str]], words: np.ndarray) -> list[str]:
    found = np.full(words.shape, "other", dtype=object)
    for mask, value, name in encodings:
        found[(words & np.uint32(mask)) == np.uint32(value)] = name
    return list(found)


def test_the_classes_are_those_of_the_mnemonics(
    expected: tuple[np.ndarray, list[str]], tmp_path: Path
) -> None:
    words, names = expected
    assert by_the_plugin(tmp_path, words) == names
    assert by_table(ENCODINGS, words) == names
    assert all(names.count(name) > 100 for name in ("dot", "matrix", "fmla", "other"))


@pytest.mark.parametrize("index", range(len(ENCODINGS)))
@pytest.mark.parametrize("change", ["opcode ignored", "register fixed", "left out"])
def test_a_wrong_mask_is_caught(
    expected: tuple[np.ndarray, list[str]], index: int, change: str
) -> None:
    words, names = expected
    mask, value, name = ENCODINGS[index]
    opcode, register = 0xF800 | 3 << 22 | 1 << 29, 1 << 16  # opcode, size and U; Rm's lowest bit
    wrong = {
        "opcode ignored": [(mask & ~opcode, value & ~opcode, name)],
        "register fixed": [(mask | register, value, name)],
        "left out": [],
    }[change]
    assert by_table(ENCODINGS[:index] + wrong + ENCODINGS[index + 1 :], words) != names
