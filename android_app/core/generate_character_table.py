"""Writes what the tokenizer's Kotlin has to know of every character: ``GeneratedCharacters.kt``.

The Unicode tables of the JDK, of Android's versions and of the Python tokenizer (Rust's) are of
different ages, and the latter's mix three ages and a slip of its own. So nothing is taken from any
standard: the installed ``tokenizers`` library is asked about each code point, and the answers are
the table.

    python android_app/core/generate_character_table.py [--check]
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tokenizers import normalizers, pre_tokenizers

OUTPUT = Path(__file__).parent / "src/main/kotlin/org/squeezebert/core/text/GeneratedCharacters.kt"
CODE_POINTS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
_HANGUL = range(0xAC00, 0xD7A4)  # decomposed by arithmetic, see CharacterTable.kt
_LATE_MARK = "\u0345"  # of canonical class 240, the greatest
_EARLY_MARK = "\u0334"  # of class 1, the smallest
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LINE = 88


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    text = source(measured())
    if not parser.parse_args().check:
        OUTPUT.write_text(text, encoding="utf-8")
        return 0
    if OUTPUT.read_text(encoding="utf-8") == text:
        return 0
    print(f"{OUTPUT} is not what {__file__} makes: run it.", file=sys.stderr)
    return 1


@dataclass(frozen=True)
class Table:
    """What was measured. Each range of code points holds its last one.

    ``dropped`` are removed by clean_text; ``spaces`` end a word; ``chinese`` are words of their
    own, and so is ``punctuation``. ``stripped`` vanish with strip_accents, among them
    ``barriers``, over which no mark is reordered. ``bases`` gives what strip_accents leaves of
    characters that it changes, ``lower`` what lower-casing makes. ``classes`` ranks the marks
    that strip_accents leaves by their canonical combining class.
    """

    dropped: Sequence[range]
    spaces: Sequence[range]
    chinese: Sequence[range]
    punctuation: Sequence[range]
    stripped: Sequence[range]
    barriers: Sequence[range]
    bases: dict[int, str]
    lower: dict[int, str]
    classes: dict[int, int]


def measured() -> Table:
    """Asks the library about every code point. Takes some ten seconds."""
    clean = _normalizer(clean_text=True)
    chinese = _normalizer(handle_chinese_chars=True)
    strip = _normalizer(strip_accents=True)
    lower = _normalizer(lowercase=True)
    words = {code: _words(chr(code)) for code in CODE_POINTS}
    bases = {code: text for code in CODE_POINTS if (text := strip(chr(code))) != chr(code)}
    stripped = [code for code, text in bases.items() if not text]
    lowered = {code: text for code in CODE_POINTS if (text := lower(chr(code))) != chr(code)}
    classes = _classes(set(CODE_POINTS) - bases.keys())
    early, late = min(classes, key=classes.__getitem__), max(classes, key=classes.__getitem__)
    barriers = [c for c in stripped if strip(f"{chr(late)}{chr(c)}{chr(early)}")[0] == chr(late)]
    table = Table(
        dropped=_ranges(code for code in CODE_POINTS if not clean(chr(code))),
        spaces=_ranges(code for code in CODE_POINTS if words[code] == ["a", "b"]),
        chinese=_ranges(code for code in CODE_POINTS if chinese(chr(code)) != chr(code)),
        punctuation=_ranges(code for code in CODE_POINTS if len(words[code]) == 3),
        stripped=_ranges(stripped),
        barriers=_ranges(barriers),
        bases={c: text for c, text in bases.items() if text and c not in _HANGUL},
        lower=lowered,
        classes=classes,
    )
    _check(table, words, clean, chinese, strip)
    return table


def _normalizer(
    *,
    clean_text: bool = False,
    handle_chinese_chars: bool = False,
    strip_accents: bool = False,
    lowercase: bool = False,
) -> Callable[[str], str]:
    normalizer = normalizers.BertNormalizer(
        clean_text=clean_text,
        handle_chinese_chars=handle_chinese_chars,
        strip_accents=strip_accents,
        lowercase=lowercase,
    )
    result: Callable[[str], str] = normalizer.normalize_str
    return result


def _words(character: str) -> list[str]:
    """The words that the pre-tokenizer makes of ``character`` between two letters."""
    return [
        word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(f"a{character}b")
    ]


def _classes(kept: Iterable[int]) -> dict[int, int]:
    """Ranks by canonical combining class of those among ``kept`` that are reordered at all."""
    decompose: Callable[[str], str] = normalizers.NFD().normalize_str

    def moves(first: str, second: str) -> bool:
        return decompose(first + second) != first + second

    marks = [c for c in kept if moves(_LATE_MARK, chr(c)) or moves(chr(c), _EARLY_MARK)]
    # A mark comes after all marks of a smaller class, which it pushes behind itself.
    ahead = {c: sum(moves(chr(c), chr(other)) for other in marks) for c in marks}
    ranks = {count: rank for rank, count in enumerate(sorted(set(ahead.values())), start=1)}
    return {c: ranks[count] for c, count in ahead.items()}


def _check(
    table: Table,
    words: dict[int, list[str]],
    clean: Callable[[str], str],
    chinese: Callable[[str], str],
    strip: Callable[[str], str],
) -> None:
    """What CharacterTable.kt and Words.kt take for granted."""
    marks = set(table.classes)
    for code in CODE_POINTS:
        character = chr(code)
        between = (["a", "b"], ["a", character, "b"], [f"a{character}b"])
        assert words[code] in between, f"U+{code:04X} is split in another way"
        # White space that clean_text keeps as another one ends a word all the same.
        cleaned = clean(character)
        assert cleaned in ("", character) or (cleaned, words[code]) == (" ", ["a", "b"])
        assert chinese(character) in (character, f" {character} ")
    for code in _HANGUL:
        index = code - _HANGUL.start
        last = chr(0x11A7 + index % 28) if index % 28 else ""
        jamo = f"{chr(0x1100 + index // 588)}{chr(0x1161 + index % 588 // 28)}{last}"
        assert strip(chr(code)) == jamo
    assert all(text[0] not in map(chr, marks) for text in table.bases.values() if len(text) > 1)
    assert all(ord(c) not in table.bases for text in table.bases.values() for c in text)
    assert marks.isdisjoint(table.lower)
    assert all(words[code] == [f"a{chr(code)}b"] for code in marks)


def _ranges(codes: Iterable[int]) -> list[range]:
    runs = groupby(enumerate(codes), key=lambda pair: pair[1] - pair[0])
    return [range(run[0][1], run[-1][1]) for _, group in runs if (run := list(group))]


def source(table: Table) -> str:
    """The Kotlin file of ``table``."""
    parts = [
        ("DROPPED", "Removed by clean_text.", _coded_ranges(table.dropped)),
        ("SPACES", "End a word.", _coded_ranges(table.spaces)),
        ("CHINESE", "Words of their own where asked for.", _coded_ranges(table.chinese)),
        ("PUNCTUATION", "Always words of their own.", _coded_ranges(table.punctuation)),
        ("STRIPPED", "Removed with the accents.", _coded_ranges(table.stripped)),
        ("BARRIERS", "Those of them that marks do not pass.", _coded_ranges(table.barriers)),
        ("BASES", "Character and what is left of it without accents.", _coded_map(table.bases)),
        ("LOWER", "Character and its lower case.", _coded_map(table.lower)),
        (
            "MARKS",
            "Marks that stay, and the rank of their combining class.",
            _coded_pairs(table.classes),
        ),
    ]
    constants = "\n".join(
        f"\n/** {comment} */\ninternal const val {name}_CODED =\n{_literal(text)}"
        for name, comment, text in parts
    )
    return (
        "// Made by generate_character_table.py, which says how. Do not edit.\n"
        "// Numbers are in base 36. Ranges: in turn the distance from the last one's end and the\n"
        "// length - 1. Maps: an entry is the distance from the last character and, apart by\n"
        "// commas, how far from it those lie that it becomes; *N repeats the entry N times.\n"
        "// Marks: in turn the distance from the last and the rank.\n"
        "package org.squeezebert.core.text\n"
        f"{constants}\n"
    )


def _coded_ranges(ranges: Sequence[range]) -> str:
    numbers, last = [], 0
    for run in ranges:
        numbers += [_number(run.start - last), _number(run.stop - run.start)]
        last = run.stop
    return " ".join(numbers)


def _coded_pairs(values: dict[int, int]) -> str:
    codes = sorted(values)
    steps = (code - last for code, last in zip(codes, (0, *codes), strict=False))
    return " ".join(
        f"{_number(step)} {_number(values[c])}" for step, c in zip(steps, codes, strict=True)
    )


def _coded_map(values: dict[int, str]) -> str:
    return " ".join(_repeats(_entries(values)))


def _entries(values: dict[int, str]) -> Iterator[str]:
    last = 0
    for code, text in sorted(values.items()):
        yield ",".join(_number(n) for n in (code - last, *(ord(c) - code for c in text)))
        last = code


def _repeats(entries: Iterable[str]) -> Iterator[str]:
    for entry, group in groupby(entries):
        count = len(list(group))
        yield entry
        if count > 1:
            yield f"*{_number(count - 1)}"


def _number(value: int) -> str:
    if value < 0:
        return f"-{_number(-value)}"
    head, digit = divmod(value, len(_DIGITS))
    return (_number(head) if head else "") + _DIGITS[digit]


def _literal(text: str) -> str:
    lines = [text[i : i + _LINE] for i in range(0, len(text), _LINE)]
    return " +\n".join(f'    "{line}"' for line in lines)


if __name__ == "__main__":
    sys.exit(main())
