"""Labelled examples from a tab-separated file."""

import gzip
import itertools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import UserError
from exporter.filesystem import explained_os_errors, sha256_file

#: Accepted column names, ours first; the others are those of GLUE, SNLI and MultiNLI files.
TEXT_COLUMNS = ("text", "premise", "sentence1", "sentence")
PAIR_COLUMNS = ("text_pair", "hypothesis", "sentence2")
LABEL_COLUMNS = ("label", "gold_label")
#: What SNLI and MultiNLI give as the label where their annotators found no agreement.
NO_LABEL = "-"

_FORMAT = (
    "Give a tab-separated UTF-8 file (.gz allowed) with a header line: text and label, "
    "or premise, hypothesis and label."
)
_GZIP_MAGIC = b"\x1f\x8b"
_SHOWN = 5


@dataclass(frozen=True)
class Texts:
    """Texts in the order of the file, ``pairs`` None for single ones; see ``LabelledData``.

    ``labels`` are their names, None where the file has no such column.
    """

    name: str
    sha256: str
    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    labels: tuple[str, ...] | None


@dataclass(frozen=True)
class LabelledData:
    """Examples in the order of the file. ``labels`` are indices into the model's labels.

    ``pairs`` is None for single texts. ``name`` and ``sha256`` identify the file. ``skipped``
    counts the lines that were read and have no label (``-``), ``complete`` tells whether all
    others of the file are here.
    """

    name: str
    sha256: str
    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    labels: tuple[int, ...]
    skipped: int = 0
    complete: bool = True

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class _Row:
    text: str
    pair: str | None
    label: str | None


def read_labelled(
    path: Path, model_labels: Sequence[str], *, limit: int | None = None
) -> LabelledData:
    """Read the examples of ``path`` (the first ``limit``), their labels as indices.

    The label names of the file are those of the model; letter case is ignored where that is
    unambiguous. Examples with the label ``-`` have none (SNLI, MultiNLI) and are skipped. Fields
    are separated by tabs and taken literally (no quoting).

    Raises UserError as ``read_texts`` does, and for labels that are missing, that the model does
    not have, or that are numbers where the model's are names: which number stands for which name
    differs between copies of the same data.
    """
    chosen: list[_Row] = []
    skipped, complete, gaps = 0, True, NO_LABEL not in model_labels
    for row in _rows(path):
        if row.label is None:
            raise UserError(f"{path} has no column for labels.", _FORMAT)
        if gaps and row.label == NO_LABEL:
            skipped += 1
        elif len(chosen) == limit:
            complete = False
            break
        else:
            chosen.append(row)
    if not chosen:
        raise UserError(
            f"None of the {skipped} examples of {path} has a label.", "Give labelled data."
        )
    labels = _indices(path, [row.label or "" for row in chosen], model_labels)
    found = _texts(path, chosen)
    return LabelledData(
        found.name, found.sha256, found.texts, found.pairs, labels, skipped, complete
    )


def read_texts(path: Path, *, limit: int | None = None) -> Texts:
    """Read the texts of ``path`` (the first ``limit``), with or without labels.

    Raises UserError for a file that is missing, empty, not UTF-8 or malformed (with the line).
    """
    return _texts(path, list(itertools.islice(_rows(path), limit)))


def _texts(path: Path, rows: Sequence[_Row]) -> Texts:
    """``rows`` of one file, so that all or none of them have a pair, and a label."""
    pairs = tuple(row.pair for row in rows if row.pair is not None)
    labels = tuple(row.label for row in rows if row.label is not None)
    return Texts(
        name=path.name,
        sha256=sha256_file(path),
        texts=tuple(row.text for row in rows),
        pairs=pairs or None,
        labels=labels or None,
    )


def _rows(path: Path) -> Iterator[_Row]:
    """Every example, at least one; each is checked as it is reached."""
    lines = read_lines(path)
    if not lines:
        raise UserError(f"{path} is empty.", _FORMAT)
    header = [name.strip().lower() for name in lines[0].split("\t")]
    text_at = _column(header, TEXT_COLUMNS)
    pair_at = _column(header, PAIR_COLUMNS)
    label_at = _column(header, LABEL_COLUMNS)
    if text_at is None:
        raise UserError(f"{path} has no usable header: {lines[0][:80]!r}.", _FORMAT)
    if pair_at is None and header.count(header[text_at]) == 2:  # both texts under one name
        pair_at = header.index(header[text_at], text_at + 1)
    needed = [column for column in (text_at, pair_at, label_at) if column is not None]
    count = 0
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) != len(header):
            raise UserError(
                f"{path}, line {number}: {len(fields)} fields instead of {len(header)}.",
                "Every line needs as many tab-separated fields as the header.",
            )
        empty = [header[i] for i in needed if not fields[i].strip()]
        if empty:
            raise UserError(
                f"{path}, line {number}: {empty[0]} is empty.", "Complete or remove the line."
            )
        count += 1
        yield _Row(
            fields[text_at],
            None if pair_at is None else fields[pair_at],
            None if label_at is None else fields[label_at].strip(),
        )
    if not count:
        raise UserError(f"{path} holds no examples, only a header.", _FORMAT)


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 file (.gz allowed), split at line feeds only: other separators may stand
    inside a text. Raises UserError for a file that is missing, damaged or not UTF-8."""
    with explained_os_errors(path):
        content = path.read_bytes()
    if content.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(
                f"{path} is a damaged gzip file ({error}).", "Fetch or compress it again."
            ) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: not UTF-8 (byte {error.start}).",
            "Convert it, for example with: iconv -f LATIN1 -t UTF-8",
        ) from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if any(line.strip() for line in lines) else []


def _column(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _indices(path: Path, names: Sequence[str], model_labels: Sequence[str]) -> tuple[int, ...]:
    exact = {label: i for i, label in enumerate(model_labels)}
    folded: dict[str, int | None] = {}
    for i, label in enumerate(model_labels):
        folded[label.casefold()] = None if label.casefold() in folded else i
    found = {name: exact.get(name, folded.get(name.casefold())) for name in set(names)}
    unknown = sorted(name for name, index in found.items() if index is None)
    if unknown and all(name.lstrip("-").isdecimal() for name in unknown):
        raise UserError(
            f"{path} has numbers for labels: {_some(unknown)}. Which number stands for which name "
            f"differs between data sets; the model's labels are, in its order: "
            f"{_some(model_labels)}.",
            "Write the names instead of the numbers.",
        )
    if unknown:
        raise UserError(
            f"{path} has labels that the model does not know: {_some(unknown)}. "
            f"The model's labels are: {_some(model_labels)}.",
            "Correct the file (are its columns under their names?). Where the checkpoint names its "
            "labels wrongly, build it again with --labels.",
        )
    return tuple(index for name in names if (index := found[name]) is not None)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
