"""Running labelled examples through PyTorch or through an artifact."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

from exporter.errors import CheckFailed
from exporter.model.config import SourceModel
from exporter.model.encoder import build_module
from exporter.targets.base import Array, Session
from exporter.tokenizer import encode_batch

#: Examples in one run. Dynamically quantized activations take their range from the whole batch,
#: padding included, so that an example's logits depend on its neighbours: on 4,500 intents the
#: mean divergence of int8 from fp32 grows from 2.4e-5 (one example) to 2.9e-5 (4) and 3.1e-5 (16).
#: Phones run one example at a time, and int8 artifacts are measured that way. The others do not
#: react to the batch.
BATCH_SIZES: Mapping[str, int] = {"fp32": 16, "fp16": 16}
DEFAULT_BATCH_SIZE = 1

_ENCODING_CHUNK = 1024
_PROGRESS_EVERY = 256
#: Examples that a process runs in one go: about a second of the small models, so that little is
#: lost with an interruption and no process waits long for the last one.
_CHUNK = 128

Run = Callable[[Mapping[str, Array]], Array]


@dataclass(frozen=True)
class Encoded:
    """Token arrays of every example, each [length] int64; ``truncated`` counts shortened ones."""

    rows: tuple[Mapping[str, Array], ...]
    truncated: int


def encode_examples(
    tokenizer: Tokenizer, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int
) -> Encoded:
    """Encode texts (or pairs), those above ``max_length`` tokens cut as transformers cuts them."""
    rows: list[Mapping[str, Array]] = []
    truncated = 0
    for start in range(0, len(texts), _ENCODING_CHUNK):
        chosen = range(start, min(start + _ENCODING_CHUNK, len(texts)))
        # One token more than allowed, to see which examples do not fit.
        encoded = _encode(tokenizer, texts, pairs, chosen, max_length + 1)
        too_long = [i for i, row in zip(chosen, encoded, strict=True) if _length(row) > max_length]
        truncated += len(too_long)
        for i, row in zip(
            too_long, _encode(tokenizer, texts, pairs, too_long, max_length), strict=True
        ):
            encoded[i - start] = row
        rows.extend(encoded)
    return Encoded(tuple(rows), truncated)


@dataclass(frozen=True)
class Chunk:
    """Examples that run one after the other: their places in the data, shortest first."""

    members: tuple[int, ...]
    tokens: int


def chunks(examples: Encoded, batch_size: int) -> tuple[Chunk, ...]:
    """All examples in chunks of similar length. A chunk holds whole batches: those of ``classify``,
    so that an example has the same neighbours, whoever runs it."""
    order = _by_length(examples)
    size = batch_size * -(-_CHUNK // batch_size)
    found = [tuple(order[start : start + size]) for start in range(0, len(order), size)]
    rows = examples.rows
    return tuple(Chunk(members, sum(_length(rows[i]) for i in members)) for members in found)


def classify(
    run: Run,
    examples: Encoded,
    *,
    batch_size: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Array:
    """Logits [examples, labels] float32, in the order of ``examples``.

    Examples run in batches of similar length (padded with zeros to the longest), so that little
    is computed on padding. Raises CheckFailed when a logit is not finite.
    """
    order = _by_length(examples)
    found: list[Array] = []
    done = reported = 0
    for logits in run_rows(run, [examples.rows[i] for i in order], order, batch_size):
        found.append(logits)
        done += len(logits)
        if done - reported >= _PROGRESS_EVERY or done == len(order):
            reported = done
            progress(f"{done}/{len(order)} examples")
    return in_order(np.concatenate(found), order)


def run_rows(
    run: Run, rows: Sequence[Mapping[str, Array]], members: Sequence[int], batch_size: int
) -> Iterator[Array]:
    """Logits [B, labels] float32 of each batch of ``rows``, which have the places ``members``.

    Raises CheckFailed when a logit is not finite.
    """
    for start in range(0, len(rows), batch_size):
        logits = run(_pad(rows[start : start + batch_size]))
        if not np.isfinite(logits).all():
            raise CheckFailed(
                f"The logits of example {members[start] + 1} or of its batch are not finite.",
                "The artifact cannot be used.",
            )
        yield logits.astype(np.float32)


def in_order(logits: Array, members: Sequence[int]) -> Array:
    """``logits`` of the examples with the places ``members`` (all of them) by their places."""
    ordered = np.empty_like(logits)
    ordered[list(members)] = logits
    return ordered


def reference_run(model: SourceModel) -> Run:
    """Runs the PyTorch encoder in fp32: token arrays [B, T] -> logits [B, labels]."""
    module = build_module(model)

    def run(inputs: Mapping[str, Array]) -> Array:
        with torch.inference_mode():
            outputs = module(**{name: torch.from_numpy(a) for name, a in inputs.items()})
        logits: Array = outputs["logits"].numpy()
        return logits

    return run


def artifact_run(session: Session) -> Run:
    """Runs an opened artifact: token arrays [B, T] -> logits [B, labels]."""
    return lambda inputs: session.run(inputs)["logits"]


def batch_size_for(precision: str) -> int:
    """Examples in one run when artifacts of ``precision`` are measured."""
    return BATCH_SIZES.get(precision, DEFAULT_BATCH_SIZE)


def _encode(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    chosen: Sequence[int],
    max_length: int,
) -> list[Mapping[str, Array]]:
    if not chosen:
        return []
    batch = encode_batch(
        tokenizer,
        [texts[i] for i in chosen],
        None if pairs is None else [pairs[i] for i in chosen],
        max_length,
    )
    lengths = batch["attention_mask"].sum(axis=1)
    return [
        {name: values[i, :length].copy() for name, values in batch.items()}
        for i, length in enumerate(lengths)
    ]


def _by_length(examples: Encoded) -> list[int]:
    return sorted(range(len(examples.rows)), key=lambda i: _length(examples.rows[i]))


def _length(row: Mapping[str, Array]) -> int:
    return len(row["input_ids"])


def _pad(rows: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """[B, T] arrays. Zero is a valid token id everywhere and is masked."""
    length = max(map(_length, rows))
    return {
        name: np.stack([np.pad(row[name], (0, length - _length(row))) for row in rows])
        for name in rows[0]
    }
