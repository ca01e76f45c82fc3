"""Tokenizers as the files of a checkpoint, and texts as the integer arrays a model takes."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from exporter.errors import UserError

IntegerArray = npt.NDArray[np.int64]

#: Files that make up a tokenizer, as the Hub names them.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: The vocabulary size of bert-base-uncased, and where its special tokens stand.
_GENERATED_SIZE = 30522
_GENERATED_IDS = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
_FIRST_WRITTEN_PIECE = 999  # bert-base-uncased reserves 994 pieces, [unused0] to [unused993]


def load_tokenizer(files: Mapping[str, bytes]) -> Tokenizer:
    """The tokenizer in ``tokenizer.json``, without the padding and truncation it may have set.

    Raises UserError when the file is not there or cannot be read.
    """
    if "tokenizer.json" not in files:
        raise UserError(
            "The tokenizer has no tokenizer.json.",
            "Add tokenizer.json or vocab.txt to the checkpoint.",
        )
    try:
        tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode("utf-8"))
    except Exception as error:  # tokenizers raises bare Exception
        raise UserError(
            f"tokenizer.json cannot be read: {error}.",
            "Replace it, or remove it if vocab.txt is there: it is then made from vocab.txt.",
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode_batch(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    max_length: int,
    pad: bool = True,
    *,
    truncate: bool = True,
) -> dict[str, IntegerArray]:
    """Texts (or pairs of texts) as ``input_ids``, ``attention_mask`` and ``token_type_ids``.

    Each array is [B, T] int64. With ``pad``, T is the longest row's length and shorter rows are
    filled up with the padding token; without it all rows must have one length. Rows longer than
    ``max_length`` tokens (special tokens included) lose tokens at the end of the longer text, as
    transformers' ``truncation=True`` does; with ``truncate=False`` they raise UserError.
    ``tokenizer`` comes from ``load_tokenizer`` and is left as it was.
    """
    special = tokenizer.num_special_tokens_to_add(pairs is not None)
    if max_length <= special:
        raise UserError(
            f"A maximum length of {max_length} leaves no room for text beside the {special} "
            "special tokens.",
            "Choose a greater length.",
        )
    batch = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
    if truncate:
        tokenizer.enable_truncation(max_length, strategy="longest_first")
    try:
        rows = tokenizer.encode_batch(batch)
    finally:
        tokenizer.no_truncation()
    lengths = [len(row.ids) for row in rows]
    longest = max(lengths, default=0)
    if longest > max_length:
        text = f"Text {lengths.index(longest) + 1}" if len(rows) > 1 else "The text"
        raise UserError(
            f"{text} has {longest} tokens; the model takes at most {max_length}.",
            "Shorten the text.",
        )
    if not pad and min(lengths, default=0) != longest:
        raise UserError(
            f"The texts have {min(lengths)} to {longest} tokens and padding is off.",
            "Give texts of one length, or pad them.",
        )
    arrays = {
        "input_ids": np.full((len(rows), longest), padding_id(tokenizer), dtype=np.int64),
        "attention_mask": np.zeros((len(rows), longest), dtype=np.int64),
        "token_type_ids": np.zeros((len(rows), longest), dtype=np.int64),
    }
    for index, row in enumerate(rows):
        arrays["input_ids"][index, : len(row.ids)] = row.ids
        arrays["attention_mask"][index, : len(row.ids)] = 1
        arrays["token_type_ids"][index, : len(row.ids)] = row.type_ids
    return arrays


def padding_id(tokenizer: Tokenizer) -> int:
    """Id of ``[PAD]``, or 0 where there is none (padding is masked: its id changes nothing)."""
    found = tokenizer.token_to_id("[PAD]")
    return 0 if found is None else found


def complete_files(
    files: Mapping[str, bytes], vocab_size: int, max_positions: int
) -> dict[str, bytes]:
    """The tokenizer files of a checkpoint, checked and with those added that clients need.

    ``tokenizer.json`` is made from ``vocab.txt`` where it is missing (WordPiece as in BERT;
    ``do_lower_case``, ``strip_accents`` and ``tokenize_chinese_chars`` from
    ``tokenizer_config.json``, else BERT's defaults), and so is ``tokenizer_config.json``.

    Raises UserError when neither is there, when both are there and disagree, or when the tokenizer
    has ids beyond the ``vocab_size`` rows of the word embedding (spare rows are fine).
    """
    completed = {name: files[name] for name in TOKENIZER_FILES if name in files}
    settings = _settings(completed)
    if "tokenizer.json" not in completed:
        if "vocab.txt" not in completed:
            raise UserError(
                "The checkpoint has no tokenizer: neither tokenizer.json nor vocab.txt.",
                "Add one of them to its folder.",
            )
        completed["tokenizer.json"] = _from_vocabulary(_vocabulary(completed), settings)
    tokenizer = load_tokenizer(completed)
    pieces = tokenizer.get_vocab(with_added_tokens=True)
    last = max(pieces.values(), default=-1)
    if not pieces or last >= vocab_size:
        raise UserError(
            f"The tokenizer has ids up to {last}, but the word embedding has {vocab_size} rows.",
            "Use the tokenizer that belongs to this checkpoint.",
        )
    if "vocab.txt" in completed:
        _check_agreement(_vocabulary(completed), tokenizer.get_vocab(with_added_tokens=False))
    if settings.get("tokenizer_class") == "TokenizersBackend":
        # transformers 5 writes this name, which version 4 does not know; both know the older one.
        renamed = {**settings, "tokenizer_class": "PreTrainedTokenizerFast"}
        completed["tokenizer_config.json"] = _json(renamed)
    if "tokenizer_config.json" not in completed:
        lowercase = getattr(tokenizer.normalizer, "lowercase", True)
        completed["tokenizer_config.json"] = _json(
            {
                "tokenizer_class": "BertTokenizer",
                "do_lower_case": bool(lowercase),
                "model_max_length": max_positions,
            }
        )
    return completed


def maximum_length(files: Mapping[str, bytes]) -> int | None:
    """``model_max_length`` of ``tokenizer_config.json``; None where it sets no positive one."""
    value = _settings(files).get("model_max_length")
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
        return None
    return int(value)


def generated_files(max_positions: int) -> dict[str, bytes]:
    """A made-up, valid, uncased WordPiece tokenizer of 30522 pieces, for untrained models.

    The pieces are BERT's special tokens and unused pieces at their usual ids, the printable
    characters of Latin-1 and the words of one to three letters, on their own and as
    continuations: every English text gets a number of tokens of the usual order, but none of the
    pieces means what it does in a real vocabulary.
    """
    pieces = list(itertools.islice(_generated_pieces(), _GENERATED_SIZE))
    text = "".join(f"{piece}\n" for piece in pieces)
    files = {"vocab.txt": text.encode("utf-8")}
    return complete_files(files, _GENERATED_SIZE, max_positions)


def _generated_pieces() -> Iterator[str]:
    unused = (f"[unused{i}]" for i in itertools.count())
    special = {index: token for token, index in _GENERATED_IDS.items()}
    for index in range(_FIRST_WRITTEN_PIECE):
        yield special.get(index) or next(unused)
    characters = [chr(code) for code in range(0x21, 0x100) if chr(code).isprintable()]
    letters = "abcdefghijklmnopqrstuvwxyz"
    longer = ["".join(parts) for n in (2, 3) for parts in itertools.product(letters, repeat=n)]
    written = [c for c in characters if not c.isspace()]
    yield from written
    yield from (f"##{piece}" for piece in written)
    yield from longer
    yield from (f"##{piece}" for piece in longer)


def _settings(files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        settings = json.loads(files.get("tokenizer_config.json", b"{}"))
    except ValueError as error:
        raise UserError(
            f"tokenizer_config.json is not valid JSON: {error}.", "Correct or remove it."
        ) from error
    if not isinstance(settings, dict):
        raise UserError("tokenizer_config.json is not a JSON object.", "Correct or remove it.")
    return settings


def _vocabulary(files: Mapping[str, bytes]) -> dict[str, int]:
    """Piece -> id, where the id is the line number (a repeated piece keeps its last line)."""
    try:
        text = files["vocab.txt"].decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"vocab.txt is not UTF-8: {error}.", "Replace it.") from error
    # Not splitlines(): a vocabulary may hold other line separators as pieces.
    lines = text.removesuffix("\n").split("\n") if text else []
    return {line.removesuffix("\r"): index for index, line in enumerate(lines)}


def _from_vocabulary(pieces: dict[str, int], settings: Mapping[str, Any]) -> bytes:
    missing = [token for token in ("[UNK]", "[CLS]", "[SEP]") if token not in pieces]
    if missing:
        raise UserError(
            f"vocab.txt lacks {', '.join(missing)}.", "Use the vocab.txt of this checkpoint."
        )
    tokenizer = Tokenizer(WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=100))
    strip_accents = settings.get("strip_accents")
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        strip_accents=None if strip_accents is None else bool(strip_accents),
        lowercase=bool(settings.get("do_lower_case", True)),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, pieces[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(
        [AddedToken(t, normalized=False, special=True) for t in _SPECIAL_TOKENS if t in pieces]
    )
    return tokenizer.to_str().encode("utf-8")


def _check_agreement(vocabulary: Mapping[str, int], tokenizer: Mapping[str, int]) -> None:
    differing = sorted(
        piece
        for piece in vocabulary.keys() | tokenizer.keys()
        if vocabulary.get(piece) != tokenizer.get(piece)
    )
    if differing:
        raise UserError(
            f"vocab.txt and tokenizer.json disagree on {len(differing)} pieces, "
            f"such as {differing[0]!r}.",
            "Remove the one that does not belong to this checkpoint.",
        )


def _json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode("utf-8")
