"""Tokenizer files and encoding, against transformers' tokenizer."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import BertTokenizer

from exporter.errors import UserError
from exporter.tokenizer import (
    complete_files,
    encode_batch,
    generated_files,
    load_tokenizer,
    maximum_length,
)

TEXTS = (
    "Hello, my dog is cute!",
    "ÜBER-straße  naïve\tcafé\n…",
    "中文 mixed 文字",
    "a" * 150,
    "",
    "[MASK] inside [SEP] text 😀 ½",
)


@pytest.fixture(scope="module")
def generated() -> dict[str, bytes]:
    return generated_files(512)


@pytest.fixture
def tokenizer(generated: dict[str, bytes]) -> Tokenizer:
    return load_tokenizer(generated)


def settings_file(**values: object) -> bytes:
    return json.dumps(values).encode()


def test_generated_tokenizer(generated: dict[str, bytes], tokenizer: Tokenizer) -> None:
    pieces = generated["vocab.txt"].decode().splitlines()
    assert len(pieces) == len(set(pieces)) == tokenizer.get_vocab_size() == 30522
    ids = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    assert {token: tokenizer.token_to_id(token) for token in ids} == ids
    printable = [chr(code) for code in range(0x21, 0x7F)]
    assert all(tokenizer.token_to_id(c) is not None for c in printable)
    assert all(tokenizer.token_to_id(f"##{c}") is not None for c in printable)
    encoded = tokenizer.encode("Any English text, however long-winded; 42 words?")
    assert "[UNK]" not in encoded.tokens
    assert len(encoded.ids) < 30
    assert generated == generated_files(512)


@pytest.mark.parametrize("lowercase", [True, False])
def test_made_from_vocabulary_equals_transformers(
    lowercase: bool, generated: dict[str, bytes], tmp_path: Path
) -> None:
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_bytes(generated["vocab.txt"])
    files = {
        "vocab.txt": generated["vocab.txt"],
        "tokenizer_config.json": settings_file(do_lower_case=lowercase),
    }
    ours = load_tokenizer(complete_files(files, 30522, 512))
    theirs = BertTokenizer(str(vocabulary), do_lower_case=lowercase)
    for first, second in zip(TEXTS, reversed(TEXTS), strict=True):
        assert ours.encode(first).ids == theirs(first)["input_ids"]
        if not second:
            continue  # transformers takes an empty second text for none
        pair = theirs(first, second)
        assert ours.encode(first, second).ids == pair["input_ids"]
        assert ours.encode(first, second).type_ids == pair["token_type_ids"]


def test_missing_settings_are_written_from_the_tokenizer(generated: dict[str, bytes]) -> None:
    cased = complete_files(
        {
            "vocab.txt": generated["vocab.txt"],
            "tokenizer_config.json": settings_file(do_lower_case=False),
        },
        30522,
        512,
    )
    completed = complete_files({"tokenizer.json": cased["tokenizer.json"]}, 30522, 256)
    settings = json.loads(completed["tokenizer_config.json"])
    assert settings["do_lower_case"] is False
    assert settings["model_max_length"] == maximum_length(completed) == 256


@pytest.mark.parametrize(
    ("value", "expected"), [(128, 128), (1e30, int(1e30)), (None, None), (0, None), ("128", None)]
)
def test_maximum_length(value: object, expected: int | None) -> None:
    assert maximum_length({"tokenizer_config.json": settings_file(model_max_length=value)}) == (
        expected
    )
    assert maximum_length({}) is None


def test_spare_embedding_rows_are_fine(generated: dict[str, bytes]) -> None:
    assert complete_files(generated, 30528, 512) == generated


REFUSED = [
    ({}, 30522, "no tokenizer"),
    ({"tokenizer.json": b"{"}, 30522, "tokenizer.json cannot be read"),
    ({"tokenizer.json": b"\xff\xfe"}, 30522, "tokenizer.json cannot be read"),
    ({"vocab.txt": b"\xff\xfe"}, 30522, "not UTF-8"),
    ({"vocab.txt": b"a\nb\n"}, 30522, "[UNK], [CLS], [SEP]"),
    ({"vocab.txt": b""}, 30522, "[UNK], [CLS], [SEP]"),
    ({"tokenizer_config.json": b"{,}"}, 30522, "not valid JSON"),
    ({"tokenizer_config.json": b"[]"}, 30522, "not a JSON object"),
]


@pytest.mark.parametrize(("files", "rows", "cause"), REFUSED)
def test_what_is_refused(files: dict[str, bytes], rows: int, cause: str) -> None:
    with pytest.raises(UserError) as caught:
        complete_files(files, rows, 512)
    assert cause in caught.value.message
    assert caught.value.next_step


def test_tokenizer_larger_than_the_embedding(generated: dict[str, bytes]) -> None:
    with pytest.raises(UserError, match="ids up to 30521, but the word embedding has 30521 rows"):
        complete_files(generated, 30521, 512)


def test_vocabulary_and_tokenizer_that_disagree(generated: dict[str, bytes]) -> None:
    lines = generated["vocab.txt"].decode().splitlines()
    lines[2000], lines[2001] = lines[2001], lines[2000]
    changed = {**generated, "vocab.txt": ("\n".join(lines) + "\n").encode()}
    with pytest.raises(UserError, match="disagree on 2 pieces"):
        complete_files(changed, 30522, 512)


def test_windows_line_ends(generated: dict[str, bytes]) -> None:
    changed = {**generated, "vocab.txt": generated["vocab.txt"].replace(b"\n", b"\r\n")}
    complete_files(changed, 30522, 512)


def test_encoding_pads_and_marks(tokenizer: Tokenizer) -> None:
    batch = encode_batch(tokenizer, ["a b c", "a"], None, 16)
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int64)}
    assert batch["input_ids"].shape == (2, 5)
    assert batch["attention_mask"].tolist() == [[1] * 5, [1, 1, 1, 0, 0]]
    assert batch["input_ids"][1].tolist()[3:] == [0, 0]
    assert batch["input_ids"][:, 0].tolist() == [101, 101]


def test_encoding_pairs(tokenizer: Tokenizer) -> None:
    batch = encode_batch(tokenizer, ["a b", "a"], ["c", "d"], 16)
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]]


def test_encoding_truncates_the_longer_text(tokenizer: Tokenizer) -> None:
    batch = encode_batch(tokenizer, ["a b c d e f g h"], ["x y"], 8)
    tokens = [tokenizer.id_to_token(i) for i in batch["input_ids"][0]]
    assert tokens == ["[CLS]", "a", "b", "c", "[SEP]", "x", "y", "[SEP]"]
    # and leaves the tokenizer as it was
    assert tokenizer.truncation is None
    assert len(tokenizer.encode("a b c d e f g h").ids) == 10


def test_too_long_a_text_is_an_error_where_asked(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="Text 2 has 10 tokens; the model takes at most 8"):
        encode_batch(tokenizer, ["a", "a b c d e f g h"], None, 8, truncate=False)


def test_a_length_without_room_for_text(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="no room for text"):
        encode_batch(tokenizer, ["a"], ["b"], 3)


def test_unequal_lengths_without_padding(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="3 to 4 tokens"):
        encode_batch(tokenizer, ["a", "a b"], None, 8, pad=False)
    assert encode_batch(tokenizer, ["a", "b"], None, 8, pad=False)["input_ids"].shape == (2, 3)


def test_no_texts(tokenizer: Tokenizer) -> None:
    assert encode_batch(tokenizer, [], None, 8)["input_ids"].shape == (0, 0)


def test_padding_and_truncation_of_the_file_are_dropped(tokenizer: Tokenizer) -> None:
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=20)
    again = load_tokenizer({"tokenizer.json": tokenizer.to_str().encode()})
    assert len(again.encode("a b c d e f").ids) == 8


def test_the_class_name_that_only_transformers_5_knows_is_replaced():
    files = {
        **generated_files(64),
        "tokenizer_config.json": b'{"tokenizer_class": "TokenizersBackend", "x": 1}',
    }
    completed = complete_files(files, vocab_size=40000, max_positions=64)
    assert json.loads(completed["tokenizer_config.json"]) == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "x": 1,
    }
