"""The logits of one model on all examples: shared out, kept, and told how far they are."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from exporter.targets.base import Array
from exporter.verification.classification import Chunk, Encoded, chunks, in_order
from exporter.verification.kept_logits import KeptLogits
from exporter.verification.workers import Job, Opener, Workers

_MINUTE, _HOUR = 60, 3600


def measure_logits(
    workers: Workers,
    opener: Opener,
    examples: Encoded,
    batch_size: int,
    labels: int,
    kept: KeptLogits,
    detail: Callable[[str], None],
) -> Array:
    """Logits [examples, labels] float32 of the model that ``opener`` opens, in the data's order.

    What ``kept`` has of an earlier call is not computed again, and what is computed goes there.
    ``detail`` is told how many examples are done, at what rate, and how long the rest will take.
    Raises what ``Workers.run`` raises.
    """
    parts = chunks(examples, batch_size)
    found: dict[int, Array] = {}
    for index, chunk in enumerate(parts):
        logits = kept.load(index, len(chunk.members), labels)
        if logits is not None:
            found[index] = logits
    missing = [index for index in range(len(parts)) if index not in found]
    # The longest first, so that no process is left with a long one at the end.
    jobs = [
        Job(index, tuple(examples.rows[i] for i in chunk.members), chunk.members, batch_size)
        for index, chunk in ((i, parts[i]) for i in reversed(missing))
    ]
    started, rate = time.monotonic(), _Rate(len(examples.rows), tuple(parts[i] for i in missing))
    for index, logits in workers.run(opener, jobs):
        kept.save(index, logits)
        found[index] = logits
        done = [parts[i] for i in missing if i in found]
        detail(rate.text(done, time.monotonic() - started))
    logits = np.concatenate([found[index] for index in range(len(parts))])
    return in_order(logits, [member for chunk in parts for member in chunk.members])


@dataclass(frozen=True)
class _Rate:
    """How far a run is that has to compute ``missing`` of ``total`` examples."""

    total: int
    missing: tuple[Chunk, ...]

    def text(self, done: list[Chunk], seconds: float) -> str:
        """The time left is that of the tokens: long examples run first, and take longer."""
        examples = sum(len(chunk.members) for chunk in done)
        tokens = sum(chunk.tokens for chunk in done)
        still = sum(chunk.tokens for chunk in self.missing) - tokens
        before = self.total - sum(len(chunk.members) for chunk in self.missing)
        per_second = examples / max(seconds, 1e-9)
        left = _duration(seconds * still / max(tokens, 1))
        return f"{before + examples}/{self.total} examples, {per_second:.0f} a second, {left} left"


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"
