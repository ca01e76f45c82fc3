"""Texts to calibrate with: a random sample of a file, as token arrays of the lengths in use.

The file is tab-separated, as labelled data is (labels are not read), or plain, with a text on every
line. The first lines of a file are no sample: many are sorted by label or by source.

Every text is a row of its own, without padding, as on a phone. What padding holds would widen
ranges for nothing: real tokens never read it (attention masks it, and all else is done token by
token), so values that static bounds clip there change no output.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exporter.checkpoint import Checkpoint
from exporter.errors import UserError
from exporter.filesystem import sha256_file
from exporter.model.config import SourceModel
from exporter.targets.base import Array
from exporter.tokenizer import load_tokenizer
from exporter.verification.classification import encode_examples
from exporter.verification.labelled_data import TEXT_COLUMNS, Texts, read_lines, read_texts

#: Lengths are counted up to these numbers of tokens, and beyond.
_LENGTHS = (8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class CalibrationTexts:
    """``rows`` are inputs by name, int64 [1, T] each, in the order in which they were drawn.

    ``name`` and ``sha256`` are the file's, of whose ``available`` texts the ``seed`` drew them.
    """

    name: str
    sha256: str
    available: int
    seed: int | None
    rows: tuple[Mapping[str, Array], ...]

    @property
    def lengths(self) -> dict[str, int]:
        """How many rows have at most so many tokens, and more than the number before."""
        counts = Counter(_length_class(row["input_ids"].shape[1]) for row in self.rows)
        names = [*map(str, _LENGTHS), f"above {_LENGTHS[-1]}"]
        return {name: counts[name] for name in names if counts[name]}


def calibration_texts(
    checkpoint: Checkpoint, data: Path, limit: int, seed: int | None = 0
) -> CalibrationTexts:
    """Up to ``limit`` texts of ``data``, drawn by ``seed`` without replacement; cut to the model.

    Of one seed, fewer texts are the first of more. None takes the first of the file.

    Raises UserError for data that cannot be read, and for texts that the model cannot take: pairs
    where it knows single ones only, or the reverse.
    """
    found = read_any_texts(data)
    _check_pairs(found, data, checkpoint.model)
    count = len(found.texts)
    order = np.arange(count) if seed is None else np.random.default_rng(seed).permutation(count)
    chosen = order[:limit].tolist()
    encoded = encode_examples(
        load_tokenizer(checkpoint.tokenizer_files),
        [found.texts[i] for i in chosen],
        None if found.pairs is None else [found.pairs[i] for i in chosen],
        checkpoint.max_length,
    )
    rows = tuple({name: row[None] for name, row in example.items()} for example in encoded.rows)
    return CalibrationTexts(found.name, found.sha256, count, seed, rows)


def read_any_texts(path: Path) -> Texts:
    """The texts of a tab-separated file with a header, or of a plain one with a text on each line.

    A file is plain when its first line has no tab and is no name of a column of texts. Empty lines
    are passed over. Raises UserError as ``read_texts`` does, and for a plain file with tabs.
    """
    lines = read_lines(path)
    if not lines or "\t" in lines[0] or lines[0].strip().lower() in TEXT_COLUMNS:
        return read_texts(path)
    for number, line in enumerate(lines, start=1):
        if "\t" in line:
            raise UserError(
                f"{path}, line {number}: a tab, in a file that begins like plain text.",
                "Give a text on each line, or a tab-separated file whose first line names the "
                "columns: text, or text and text_pair.",
            )
    texts = tuple(line for line in lines if line.strip())
    return Texts(path.name, sha256_file(path), texts, None, None)


def _length_class(length: int) -> str:
    return next((str(limit) for limit in _LENGTHS if length <= limit), f"above {_LENGTHS[-1]}")


def _check_pairs(texts: Texts, data: Path, model: SourceModel) -> None:
    """What the model's form rules out. (Whether a classifier reads pairs, nothing tells.)"""
    if texts.pairs is None and model.task == "question-answering":
        raise UserError(
            f"{data} has single texts, and question answering takes a question and its context.",
            "Give a file with the columns text and text_pair.",
        )
    if texts.pairs is not None and model.config.token_types < 2:
        raise UserError(
            f"{data} has pairs of texts, and the model takes single ones: it knows one token type.",
            "Give a file with the column text alone.",
        )
