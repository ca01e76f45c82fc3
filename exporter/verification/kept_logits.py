"""Logits that a run measured before it was interrupted, on disk."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exporter.filesystem import write_atomically
from exporter.targets.base import Array

_KEY_DIGITS = 32


@dataclass(frozen=True)
class KeptLogits:
    """The finished chunks of one model on one set of examples, a file each in ``folder``.

    Without a folder nothing is kept.
    """

    folder: Path | None

    def load(self, index: int, examples: int, labels: int) -> Array | None:
        """Logits [examples, labels] of a chunk; None where they are not there, or are damaged."""
        if self.folder is None:
            return None
        try:
            found = np.load(self._path(index), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        sound = (
            isinstance(found, np.ndarray)
            and found.shape == (examples, labels)
            and found.dtype == np.float32
            and bool(np.isfinite(found).all())
        )
        return found if sound else None

    def save(self, index: int, logits: Array) -> None:
        """Whole or not at all. Raises UserError where the disk refuses."""
        if self.folder is not None:
            content = io.BytesIO()
            np.save(content, logits.astype(np.float32, copy=False), allow_pickle=False)
            write_atomically(self._path(index), content.getvalue())

    def _path(self, index: int) -> Path:
        assert self.folder is not None  # for the type checker: both callers look
        return self.folder / f"{index:06d}.npy"


def kept_logits(folder: Path | None, **parts: Any) -> KeptLogits:
    """Those in ``folder`` of a run that ``parts`` decide: all that its numbers depend on."""
    if folder is None:
        return KeptLogits(None)
    text = json.dumps(parts, sort_keys=True)
    return KeptLogits(folder / hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS])
