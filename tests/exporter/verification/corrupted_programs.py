"""Ways to damage a .pte file on disk, and the check of the gate that has to notice."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from program_edits import (
    Edit,
    exchange,
    flip_bit,
    replace_bytes,
    replace_number,
    replace_text,
    rewrite,
)
from small_models import MAX_POSITIONS
from small_programs import BLOCKS

from exporter.targets.executorch.module import MASKED

#: The artifact cannot be opened or run at all: the gate raises UserError.
UNUSABLE = "unusable"

INT4 = {**BLOCKS, "family": "bert"}
TIED = {"task": "masked-lm", "family": "bert"}


@dataclass(frozen=True)
class ProgramCorruption:
    """``edit`` changes the file; ``check`` has to fail, and nothing else if ``only``."""

    name: str
    check: str
    edit: Edit
    precision: str = "fp32"
    only: bool = False
    flavour: str = "optimized"
    changes: dict[str, Any] = field(default_factory=dict)


def _wrong_way_round(values: Any) -> Any:
    return values[::-1]


def _cut_off(content: bytearray, _: Path) -> None:
    del content[-9:]


def _nan(values: Any) -> Any:
    values[-1] = np.nan
    return values


def _twice_as_coarse(content: bytearray, path: Path) -> None:
    """Half of the levels of the first product, all values within half of the new step."""
    rewrite("product.0.scale", "<f4", lambda scale: scale * 2)(content, path)
    rewrite("product.0", "i1", lambda levels: np.rint(levels / 2))(content, path)


def program_corruptions() -> Iterator[ProgramCorruption]:
    """Every way in which a file is damaged in the tests."""
    audit = "weight audit"
    for bit in (0, 7):
        edit = flip_bit("product.0", bit)
        yield ProgramCorruption(f"fp32 matrix bit {bit}", audit, edit, only=True)
        yield ProgramCorruption(f"int8 matrix bit {bit}", audit, edit, "int8")
    for bit in (0, 3, 4, 7):
        yield ProgramCorruption(
            f"int4 matrix bit {bit}", audit, flip_bit("product.0", bit), "int4", changes=INT4
        )
    for name in ("product.0.bias", "norm.1.weight", "norm.0.bias"):
        yield ProgramCorruption(f"last bit of {name}", audit, flip_bit(name, 0), "int8", only=True)
    for name in ("product.0.scale", "table.0.scale", "table.2.scale"):
        edit = flip_bit(name, 0, byte=0)
        yield ProgramCorruption(f"last bit of {name}", audit, edit, "int8", only=True)
    edit = flip_bit("product.0.scale", 0, byte=0)
    yield ProgramCorruption("int4 scale", audit, edit, "int4", changes=INT4)
    yield ProgramCorruption("row of the words", audit, flip_bit("table.0", 0), "int8", only=True)
    yield ProgramCorruption("token types", audit, flip_bit("table.1", 0), "int8", only=True)
    yield ProgramCorruption("coarser step", audit, _twice_as_coarse, "int8")
    yield ProgramCorruption("not a number", audit, rewrite("norm.0.weight", "<f4", _nan))
    for precision in ("fp32", "int8"):
        swapped = exchange("product.0", "product.1")
        yield ProgramCorruption("groups swapped", audit, swapped, precision)
    turned = rewrite("product.0", "<f4", lambda v: v.reshape(8, 8).T.ravel())
    yield ProgramCorruption("group transposed", audit, turned)
    rows = rewrite("product.22", "<f4", lambda v: v.reshape(3, 32)[[1, 0, 2]].ravel())
    yield ProgramCorruption("classifier rows swapped", audit, rows)
    yield ProgramCorruption("norm reversed", audit, rewrite("norm.2.bias", "<f4", _wrong_way_round))
    for precision in ("fp32", "int8"):  # the table of the words, and its copy in the decoder
        for name in ("table.0", "product.7"):
            edit = flip_bit(name, 0)
            yield ProgramCorruption(f"tied {name}", audit, edit, precision, changes=TIED)
    yield from _descriptions()
    yield from _operators()


def _descriptions() -> Iterator[ProgramCorruption]:
    """Edits of the constant methods."""

    def says(name: str, check: str, old: str, new: str, **options: Any) -> ProgramCorruption:
        return ProgramCorruption(name, check, replace_text(old, new), **options)

    labels = '["no", "yes", "maybe"]', '["yes", "no", "maybe"]'
    yield says("labels swapped", "metadata", *labels, only=True)
    yield says("another precision", "metadata", "fp32", "int9", only=True)
    yield says("another flavour", "metadata", "optimized", "optimised", only=True)
    yield says("another task", "metadata", "sequence-classification", "sequence-regressivation")
    first, second = '["layers.0.attention.query", 0]', '["layers.0.attention.query", 1]'
    yield says("layer order", "structure", first, second)
    yield says("a layer that is none", "structure", first, first.replace("query", "quirk"))
    yield says("no layer order", "structure", "layer_order", "layer_ordnn")
    yield says("outputs renamed", "outputs", '["logits"]', '["scores"]')
    for name, check, positions in (("more", "signature", 41), ("fewer", UNUSABLE, 39)):
        edit = replace_bytes(struct.pack("<q", MAX_POSITIONS), struct.pack("<q", positions))
        yield ProgramCorruption(f"{name} positions", check, edit)
    yield says("inputs exchanged", "signature", '["input_ids", ', '["input_idx", ')
    yield says("another backend", UNUSABLE, "xnnpack", "xnnpacc")
    buckets = {"flavour": "buckets", "changes": {"task": "token-classification"}}
    yield says("a bucket of another length", UNUSABLE, "[32, 40]", "[39, 40]", **buckets)


def _operators() -> Iterator[ProgramCorruption]:
    """Edits of what is computed: the values of all weights stay right."""

    def edited(name: str, edit: Edit, **options: Any) -> ProgramCorruption:
        return ProgramCorruption(name, "structure", edit, **options)

    yield edited("epsilon", replace_number(1e-12, 1e-5))
    masked = struct.pack("<f", MASKED)
    yield edited("mask removed", replace_bytes(masked, struct.pack("<f", 0)))
    yield edited("attention scale", replace_bytes(struct.pack("<f", 8**-0.5), struct.pack("<f", 1)))
    kernel = "aten::native_layer_norm"
    nowhere = replace_text(kernel, kernel[:-1] + "x")
    yield ProgramCorruption("no such kernel", UNUSABLE, nowhere)
    backend = replace_text("XnnpackBackend", "NowhereBackend")
    yield ProgramCorruption("no such backend", UNUSABLE, backend)
    yield ProgramCorruption("cut off", UNUSABLE, _cut_off)
