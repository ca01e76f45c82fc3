"""Texts that try every rule of a tokenizer: real ones, every character there is, and made-up ones.

A text may hold half a surrogate pair, as a phone's text may.
"""

import csv
import gzip
import random
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

_EXAMPLES = Path(__file__).parents[2] / "exporter" / "examples"
_TOGETHER = 24  # characters that share a text
#: Ideographs and syllables of Asia, surrogates, private use, what is not assigned.
_UNIFORM_BLOCKS = (
    range(0x3400, 0x9FF0),
    range(0xAC00, 0xF900),
    range(0x17000, 0x1AFF0),
    range(0x20000, 0x2F800),
    range(0x2FA20, 0xE0000),
    range(0xE0200, 0x110000),
)
#: Marks of combining class 0, which go with the accents but let no other mark pass.
_LOOSE = "\u0901\u0a01\u0bc0\u1dfa\ua806"
_SURROGATES = [chr(code) for code in (0xD800, 0xD83D, 0xDBFF, 0xDC00, 0xDE00, 0xDFFF)]
_SPECIAL = (
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[PAD]",
    "[UNK]",
    "[MASK",
    "[mask]",
    "[[SEP]]",
    "##a",
    "<s>",
)
_WRITTEN = (
    "",
    " ",
    "\n\t\r",
    "Hello, my dog is cute!",
    "ÜBER-straße  naïve\tcafé\n…",
    "中文 mixed 文字 かな 한국어 ㎏ ﬁ ﷺ",
    "İstanbul ΑΣ ΑΣΑ ς ẞ Ǆ ŉ ᾳ ﬃ",  # lower case of more than one character, or by its place
    "x" * 100,
    "x" * 101,
    "x" * 100 + "\u0301" * 50,
    "한" * 40,
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea 👍🏽",
    "\u302e\u16ff\U00016ff0\u0323\u302f a\u302e\U00016ff0\u0d4d",
    "a\u0000b\u0007c\ufffdd\u00ade\ufefff\u200bg\u2028h\u0085i\u000bj",
    "can't won't it's e.g. $5.99 50% C++ C# @user #tag http://a.b/c?d=e&f",
)


def real_texts() -> Iterator[str]:
    """Every column of the examples' data."""
    for path in sorted(_EXAMPLES.glob("*/*.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
            for row in csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
                yield from row


def every_character(seed: int, *, uniform: bool) -> Iterator[str]:
    """Every code point once, surrogates among them, after a letter and before one.

    Without ``uniform``, only some of the large blocks whose characters are all of a kind.
    """
    chance = random.Random(seed)
    blocks = [] if uniform else _UNIFORM_BLOCKS
    codes = [
        code
        for code in range(0x110000)
        if chance.random() < 0.02 or not any(code in block for block in blocks)
    ]
    chance.shuffle(codes)
    for start in range(0, len(codes), _TOGETHER):
        yield "".join(f"a{chr(code)}b " for code in codes[start : start + _TOGETHER])


def made_up(count: int, seed: int) -> Iterator[str]:
    """Texts of mixed scripts and categories, long words, marks without end, controls, halves."""
    yield from _WRITTEN
    chance = random.Random(seed)
    kinds = characters_by_category()
    names = sorted(kinds)
    for _ in range(count):
        chosen = chance.sample(names, chance.randint(1, 3))
        spread = chance.choice((0.0, 0.1, 0.5))
        parts = []
        for _ in range(chance.choice((1, 4, 16, 64))):
            if chance.random() < spread:
                parts.append(chance.choice((*_SPECIAL, *_SURROGATES, " ", "-", "a", "É", "word")))
            else:
                parts.append(chance.choice(kinds[chance.choice(chosen)]))
        yield "".join(parts)


def marks(count: int, seed: int) -> Iterator[str]:
    """Words of marks that stay without accents, in every order, others and letters among them."""
    chance = random.Random(seed)
    staying = characters_by_category()["combining, stays"]
    others = characters_by_category()["combining"]
    for _ in range(count):
        parts = [
            chance.choice(chance.choice((staying, staying, others, _LOOSE, "aé"))) for _ in range(9)
        ]
        yield "".join(parts)


@cache
def characters_by_category() -> Mapping[str, Sequence[str]]:
    """Characters by Unicode category, in blocks of a script; and kinds that need care."""
    kinds: dict[str, list[str]] = {}
    for code in range(0x110000):
        character = chr(code)
        category = unicodedata.category(character)
        if category in ("Cs", "Co", "Cn") and code % 512:
            continue
        block = code >> 8 if category in ("Lu", "Ll", "Lo", "Mn") else 0
        kinds.setdefault(f"{category} {block:04x}", []).append(character)
        if unicodedata.combining(character):
            kinds.setdefault("combining", []).append(character)
        if unicodedata.combining(character) and category != "Mn":
            kinds.setdefault("combining, stays", []).append(character)
        if unicodedata.decomposition(character):
            kinds.setdefault("decomposes", []).append(character)
        if character != character.lower() or character != character.upper():
            kinds.setdefault("has case", []).append(character)
    kinds["ascii"] = [chr(code) for code in range(128)]
    kinds["letters"] = list("abcdefghijklmnopqrstuvwxyz")
    kinds["halves"] = _SURROGATES
    return kinds
