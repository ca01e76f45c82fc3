"""The inputs on which artifacts are compared: lengths, batches, padding, a row without tokens."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exporter.model.config import EncoderConfig, SourceModel
from exporter.targets.base import Array, Target

#: The position table of almost all models; more would only take time.
_LONGEST = 512


@dataclass(frozen=True)
class Case:
    """One batch of inputs, each int64 [B, T]. ``name`` says what is special about it."""

    name: str
    inputs: dict[str, Array]


def artifact_cases(target: Target, path: Path, model: SourceModel) -> tuple[Case, ...]:
    """What the artifact is compared on: as long as it takes, and each of its lengths."""
    lengths, limit = target.lengths(path), target.limit(path)
    return verification_cases(model.config, lengths=lengths, limit=limit)


def verification_cases(
    config: EncoderConfig,
    seed: int = 0,
    lengths: tuple[int, ...] = (),
    limit: int = _LONGEST,
) -> tuple[Case, ...]:
    """Random token ids and token types: one token, short, odd and long, with padding and without.

    At least one case has a row that is all padding, and one has padding in front and in between.
    ``lengths`` that an artifact is made for get a case each, one token shorter and padded, and
    the shortest one without any token. The longest case ends at the position table, at ``limit``
    (the largest number of tokens that an artifact takes), or at ``_LONGEST``.
    """
    generator = np.random.default_rng(seed)

    def case(name: str, lengths: list[int], width: int, every: int = 1) -> Case:
        """With ``every``, only each such token of the length is none of padding."""
        width = min(width, config.max_positions, limit)
        shape = (len(lengths), width)
        position = np.arange(width)[None, :]
        mask = (position < np.array(lengths)[:, None]) & (position % every == every - 1)
        ids = generator.integers(0, config.vocab_size, shape)
        types = generator.integers(0, config.token_types, shape)
        inputs = {
            "input_ids": np.where(mask, ids, config.pad_token_id),
            "attention_mask": mask.astype(np.int64),
            "token_type_ids": np.where(mask, types, 0),
        }
        return Case(name, inputs)

    return (
        case("one token", [1], 1),
        case("odd length", [7], 7),
        case("padded batch", [32, 19, 2], 32),
        case("all padding", [0, 24], 24),
        case("scattered padding", [20], 24, every=3),
        case("longest", [_LONGEST], _LONGEST),
        *(case(f"length {n}", [max(1, n - 1)], n) for n in lengths),
        *(case(f"length {n}, no token", [0], n) for n in lengths[:1]),
    )
