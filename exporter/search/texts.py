"""The calibration texts of a search: those that were given and do not judge, or its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from exporter.calibration_texts import CalibrationTexts
from exporter.manifest import CalibrationRecord
from exporter.search.examples import Examples
from exporter.search.preparation import Row, calibration_rows


@dataclass(frozen=True)
class TextsUsed:
    """The ``count`` calibration texts; ``own``: the search's; ``record``: of those of a file.

    ``left_out`` counts those that were given and are among the examples to judge by.
    """

    count: int
    own: bool
    record: CalibrationRecord | None = None
    left_out: int = 0

    @property
    def line(self) -> str:
        """Where they are from."""
        uses = "for smoothing, static ranges and the correction of 4-bit weights"
        if self.own:
            return f"{self.count} texts {uses}: of the examples to choose by, without their labels."
        if self.record is None:
            return f"{self.count} texts {uses}, as they were given."
        seed = self.record.seed
        drawn = "its first" if seed is None else f"drawn by the seed {seed}"
        return f"{self.count} texts {uses}: of {self.record.data}, {drawn}."

    @property
    def remark(self) -> str:
        """ "", or how many were left out, and what is taken where none is left."""
        if not self.left_out:
            return ""
        given = self.left_out if self.own else self.count + self.left_out
        instead = " Texts of the examples to choose by take their place." if self.own else ""
        return (
            f"{self.left_out} of the {given} calibration texts are among the examples to judge "
            f"by: they were left out.{instead}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        known = {"texts": self.count, "own": self.own, "left_out": self.left_out}
        if self.record is None:
            return known
        file = {"data": self.record.data, "sha256": self.record.sha256, "seed": self.record.seed}
        return known | file


def texts_for(
    given: Sequence[Row],
    record: CalibrationRecord | None,
    searching: Examples,
    judging: Examples,
) -> tuple[tuple[Row, ...], TextsUsed]:
    """Rows (int64 [1, T] by name) to calibrate with: the ``given`` ones that do not judge.

    What was fitted to the texts that judge would be judged too kindly. They are told by their
    tokens: one file can hold another's texts in other columns, or compressed. Without any of
    ``given`` the rows are of ``searching``. ``record`` says of which file ``given`` are.
    """
    judges = {_tokens(row) for row in judging.rows}
    kept = tuple(row for row in given if _tokens(row) not in judges)
    left_out = len(given) - len(kept)
    if not kept:
        own = calibration_rows(searching)
        return own, TextsUsed(len(own), own=True, left_out=left_out)
    if record is not None and left_out:
        rest = CalibrationTexts(record.data, record.sha256, len(given), record.seed, kept)
        record = replace(record, examples=len(kept), lengths=rest.lengths)
    return kept, TextsUsed(len(kept), own=False, record=record, left_out=left_out)


def _tokens(row: Row) -> tuple[bytes, ...]:
    return tuple(np.asarray(row[name], np.int64).tobytes() for name in sorted(row))
