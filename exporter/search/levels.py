"""Corrected levels of the weights that can have 4 bits, kept in the folder of a search."""

import hashlib
import io
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from exporter.filesystem import remove, write_atomically
from exporter.quantization.correction import corrected
from exporter.quantization.mix import METHODS, uniform_mix
from exporter.quantization.rounding import Rounded
from exporter.search.preparation import Prepared, Row
from exporter.search.stand_ins import usual_methods
from exporter.targets.base import Target

#: Digits of the search's key, and of the mix's hash, in a file's name.
_DIGITS = 16


class _OutOfTimeError(Exception):
    """Ends a correction between two units."""


def four_bits(target: Target) -> str | None:
    """The first of the target's methods with 4 bits."""
    return next((m for m in target.methods if METHODS[m].bits == 4), None)


def correct(
    prepared: Prepared,
    target: Target,
    rows: Sequence[Row],
    folder: Path,
    key: str,
    *,
    seconds: float,
    progress: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Rounded] | None:
    """Levels of every layer that can have 4 bits, as if all had them; none where no method has.

    They depend little on what the other layers are stored in: each makes up for the errors of its
    own rounding. Kept in ``folder`` for the search's ``key``. None where ``seconds`` are over
    before the last unit is begun. Raises UserError for too few ``rows``
    (``correction.HELD_BACK``).
    """
    four, ends = four_bits(target), clock() + seconds
    if four is None:
        return {}
    model = prepared.networks.model
    mix = uniform_mix(model.config, model.task, four, "int8", usual_methods(target)[0])
    mix = replace(mix, smoothing=prepared.smoothing, bounds=prepared.bounds)
    # Levels follow from what is smoothed, too, which the time for measuring it may change.
    word = hashlib.sha256(mix.text().encode()).hexdigest()[:_DIGITS]
    path = folder / f"{_prefix(key)}{word}.npz"
    known = _read_levels(path)
    if known is not None:
        return known

    def in_time(text: str) -> None:
        if clock() > ends:
            raise _OutOfTimeError
        progress(text)

    try:
        levels = corrected(replace(model, mix=mix), rows, progress=in_time)
    except _OutOfTimeError:
        return None
    _write_levels(path, levels)
    return levels


def remove_old_levels(folder: Path, key: str) -> None:
    """Remove the files of other keys than ``key``: of another model, other texts or older code."""
    for path in folder.glob("corrected-*"):
        if not path.name.startswith(_prefix(key)):
            remove(path)


def _prefix(key: str) -> str:
    return f"corrected-{key[:_DIGITS]}-"


def _write_levels(path: Path, levels: Mapping[str, Rounded]) -> None:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, weight in levels.items():
        arrays[f"{name}/levels"], arrays[f"{name}/scale"] = weight.levels, weight.scale
        if weight.multiplier is not None:
            arrays[f"{name}/multiplier"] = weight.multiplier
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    write_atomically(path, stream.getvalue())


def _read_levels(path: Path) -> dict[str, Rounded] | None:
    """None where there are none that can be read."""
    try:
        with np.load(path) as arrays:
            names = [name.removesuffix("/levels") for name in arrays if name.endswith("/levels")]
            return {
                name: Rounded(
                    arrays[f"{name}/levels"],
                    4,
                    arrays[f"{name}/scale"],
                    arrays.get(f"{name}/multiplier"),
                )
                for name in names
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
