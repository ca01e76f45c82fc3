"""The app's tokenizer gives the tokens that the Python tokenizer gives, on more than 100,000 texts.

Texts reach the app as UTF-16 units. Python's tokenizer takes no half of a surrogate pair; the app
reads one as U+FFFD, as a decoder would, so that is what Python is given.
"""

import json
import random
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import normalizers

from exporter.tokenizer import encode_batch, generated_files, load_tokenizer
from tests.android_app.core_classes import run_program
from tests.android_app.tokenizer_texts import (
    characters_by_category,
    every_character,
    made_up,
    marks,
    real_texts,
)

_EXAMPLES = Path(__file__).parents[2] / "exporter" / "examples"
_PROGRAM = "org.squeezebert.core.text.EncodeFiles"
_LIMITS = (4, 5, 6, 7, 8, 15, 16, 31, 32, 33, 48, 63, 64, 127, 128)
_LONG = 512
_GROUPS = ("query", "key", "value", "post_attention", "intermediate", "output")
_CHUNK = 2000
_HALVES = re.compile("[\ud800-\udfff]")

Document = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What is to be encoded, in at most ``limit`` tokens."""

    text: str
    pair: str | None = None
    limit: int = _LONG


#: Token ids and types.
Answer = tuple[tuple[int, ...], tuple[int, ...]]


def document(name: str) -> Document:
    """The tokenizer of an example, or the generated one."""
    if name == "generated":
        content = generated_files(_LONG)["tokenizer.json"]
    else:
        content = (_EXAMPLES / name / "tokenizer.json").read_bytes()
    loaded: Document = json.loads(content)
    return loaded


def changed(base: Document, **normalizer: bool | None) -> Document:
    """``base`` with other settings of its normalizer."""
    return {**base, "normalizer": {**base["normalizer"], **normalizer}}


def with_every_letter(base: Document) -> Document:
    """``base`` with a piece for each character that changes, and for what it becomes.

    Where a character is unknown, so is its word, whatever else was done to it.
    """
    lower = normalizers.Lowercase().normalize_str
    decompose = normalizers.NFD().normalize_str
    characters = set()
    for code in (*range(0xAC00), *range(0xD7A4, 0xD800), *range(0xE000, 0x110000)):
        found = {chr(code), *lower(chr(code)), *decompose(chr(code)), *lower(decompose(chr(code)))}
        if len(found) > 1 or code < 0x700 or 0x1100 <= code < 0x1200:
            characters |= found
    characters |= {"\ufffd", *characters_by_category()["combining"]}
    pieces = dict(base["model"]["vocab"])
    for character in sorted(characters):
        for piece in (character, f"##{character}"):
            pieces.setdefault(piece, len(pieces))
    return {**base, "model": {**base["model"], "vocab": pieces}}


def with_other_tokens(base: Document) -> Document:
    """``base`` with added tokens that begin alike, and another processor of the same kind."""
    pieces = dict(base["model"]["vocab"])
    token = base["added_tokens"][0]
    added = list(base["added_tokens"])
    for content in ("<s>", "<s", "[E]", "[E][F]", "word", "É", "\U0001f600", "# #"):
        pieces.setdefault(content, len(pieces))
        added.append({**token, "content": content, "id": pieces[content], "lstrip": True})
    bert = {"type": "BertProcessing", "sep": ["<s>", pieces["<s>"]], "cls": ["[E]", pieces["[E]"]]}
    model = {**base["model"], "vocab": pieces, "max_input_chars_per_word": 7}
    return {**base, "added_tokens": added, "model": model, "post_processor": bert}


def write_bundle(folder: Path, tokenizer: Document) -> Path:
    """A bundle that is only its manifest and tokenizer."""
    vocabulary = max(*tokenizer["model"]["vocab"].values(), 0) + 1
    numbers = ("parameters", "max_positions", "layers", "hidden_size", "intermediate_size", "heads")
    model = {
        **dict.fromkeys(numbers, 1),
        **dict.fromkeys(("source", "architecture", "family", "task"), "none"),
        **{
            "trained": False,
            "vocab_size": vocabulary,
            "max_length": _LONG,
            "groups": dict.fromkeys(_GROUPS, 1),
        },
    }
    empty: Document = {"labels": None, "files": [], "artifacts": []}
    manifest = {"schema": "squeezebert-bundle/1", "recipe": "stock", "model": model, **empty}
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


def asked_of_app(questions: Iterable[Question]) -> bytes:
    """The file that EncodeFiles.kt reads."""

    def text(value: str | None) -> bytes:
        if value is None:
            return struct.pack(">i", -1)
        units = value.encode("utf-16-be", "surrogatepass")
        return struct.pack(">i", len(units) // 2) + units

    return b"".join(struct.pack(">i", q.limit) + text(q.text) + text(q.pair) for q in questions)


def app_answers(content: bytes) -> Iterator[Answer]:
    """What EncodeFiles.kt has written."""
    at = 0
    while at < len(content):
        (count,) = struct.unpack_from(">i", content, at + 1)
        numbers = struct.unpack_from(f">{2 * count}i", content, at + 5)
        yield numbers[:count], numbers[count:]
        at += 5 + 8 * count


def python_answers(tokenizer: Document, questions: Sequence[Question]) -> Iterator[Answer]:
    """The same of the library, as the exporter asks it."""
    library = load_tokenizer({"tokenizer.json": json.dumps(tokenizer).encode()})
    for (limit, paired), group in groupby(questions, key=lambda q: (q.limit, q.pair is not None)):
        asked = list(group)
        for start in range(0, len(asked), _CHUNK):
            chunk = asked[start : start + _CHUNK]
            texts = [whole_characters(q.text) for q in chunk]
            pairs = [whole_characters(q.pair or "") for q in chunk] if paired else None
            arrays = encode_batch(library, texts, pairs, limit)
            lengths = arrays["attention_mask"].sum(axis=1)
            rows = zip(arrays["input_ids"], arrays["token_type_ids"], lengths, strict=True)
            for ids, types, length in rows:
                yield _plain(ids[:length]), _plain(types[:length])


def whole_characters(text: str) -> str:
    """``text`` with its surrogate pairs joined and the other halves replaced."""
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return _HALVES.sub("\ufffd", joined)


def _plain(values: np.ndarray[Any, Any]) -> tuple[int, ...]:
    return tuple(values.tolist())


def differences(
    folder: Path, tokenizer: Document, questions: Sequence[Question], app: Document | None = None
) -> list[Question]:
    """The questions on which the app, given the tokenizer ``app``, and Python do not agree."""
    bundle = write_bundle(folder / "bundle", app or tokenizer)
    asked, answered = folder / "questions", folder / "answers"
    asked.write_bytes(asked_of_app(questions))
    run_program(_PROGRAM, [bundle, asked, answered])
    answers = zip(
        questions,
        app_answers(answered.read_bytes()),
        python_answers(tokenizer, questions),
        strict=True,
    )
    return [question for question, found, wanted in answers if found != wanted]


def pairs_of(texts: Sequence[str], count: int, seed: int) -> list[Question]:
    """Pairs of two texts, cut to every limit; and single texts that are."""
    chance = random.Random(seed)
    chosen = [
        Question(
            chance.choice(texts) * chance.choice((1, 1, 8)),
            chance.choice(texts) * chance.choice((1, 1, 8)) if chance.random() < 0.8 else None,
            chance.choice(_LIMITS),
        )
        for _ in range(count)
    ]
    return sorted(chosen, key=lambda q: (q.limit, q.pair is not None))


def test_real_texts(tmp_path: Path) -> None:
    texts = list(real_texts())
    questions = [*map(Question, texts), *pairs_of(texts, 20_000, seed=1)]
    assert len(questions) > 25_000
    assert differences(tmp_path, document("intents"), questions) == []


SETTINGS: list[dict[str, bool | None]] = [
    {},
    {"lowercase": False},
    {"lowercase": True, "strip_accents": False},
    {"lowercase": False, "strip_accents": True, "handle_chinese_chars": False},
    {"clean_text": False, "handle_chinese_chars": False},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_character(settings: dict[str, bool | None], tmp_path: Path) -> None:
    seed = SETTINGS.index(settings)
    tokenizer = changed(with_every_letter(document("intents")), **settings)
    single = [*every_character(seed, uniform=not settings), *made_up(3000, seed), *marks(500, seed)]
    questions = [*map(Question, single), *pairs_of(single, 2000, seed)]
    assert len(questions) > (8_000 if settings else 50_000)
    assert differences(tmp_path, tokenizer, questions) == []


@pytest.mark.parametrize("name", ["nli", "generated"])
def test_other_vocabularies(name: str, tmp_path: Path) -> None:
    texts = [*made_up(5000, seed=10), *real_texts()]
    questions = [*map(Question, texts), *pairs_of(texts, 2000, seed=10)]
    assert differences(tmp_path, document(name), questions) == []


def test_other_special_tokens(tmp_path: Path) -> None:
    texts = list(made_up(5000, seed=11))
    questions = [*map(Question, texts), *pairs_of(texts, 5000, seed=11)]
    assert differences(tmp_path, with_other_tokens(document("intents")), questions) == []


def test_the_texts_try_the_order_of_marks() -> None:
    """Many texts of marks become others where marks are not sorted, or pass where they may not."""
    strip = normalizers.BertNormalizer(lowercase=False, strip_accents=True).normalize_str
    texts = list(marks(500, seed=13))
    unsorted = ["".join(map(strip, text)) for text in texts]
    assert sum(strip(text) != plain for text, plain in zip(texts, unsorted, strict=True)) > 100
    passing = [strip(plain) for plain in unsorted]
    assert sum(strip(text) != plain for text, plain in zip(texts, passing, strict=True)) > 20


@pytest.mark.parametrize(
    "rule",
    [
        {"clean_text": False},
        {"lowercase": False, "strip_accents": True},
        {"strip_accents": False},
        {"handle_chinese_chars": False},
    ],
    ids=str,
)
def test_the_texts_try_every_rule(rule: dict[str, bool | None], tmp_path: Path) -> None:
    """An app that leaves out one step of the normalization is found out."""
    tokenizer = with_every_letter(document("intents"))
    questions = [Question(text) for text in made_up(1000, seed=12)]
    assert differences(tmp_path, tokenizer, questions, app=changed(tokenizer, **rule))
