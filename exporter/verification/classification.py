"""Running labelled examples through PyTorch or through an artifact."""

from collections.abc import Callable, Mapping, Sequence
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
    rows = examples.rows
    order = sorted(range(len(rows)), key=lambda i: _length(rows[i]))
    found: list[Array | None] = [None] * len(rows)
    reported = 0
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        logits = run(_pad([rows[i] for i in chosen]))
        if not np.isfinite(logits).all():
            raise CheckFailed(
                f"The logits of example {chosen[0] + 1} or of its batch are not finite.",
                "The artifact cannot be used.",
            )
        for row, index in zip(logits, chosen, strict=True):
            found[index] = row
        done = start + len(chosen)
        if done - reported >= _PROGRESS_EVERY or done == len(order):
            reported = done
            progress(f"{done}/{len(order)} examples")
    return np.stack([row for row in found if row is not None]).astype(np.float32)


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


def _length(row: Mapping[str, Array]) -> int:
    return len(row["input_ids"])


def _pad(rows: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """[B, T] arrays. Zero is a valid token id everywhere and is masked."""
    length = max(map(_length, rows))
    return {
        name: np.stack([np.pad(row[name], (0, length - _length(row))) for row in rows])
        for name in rows[0]
    }
