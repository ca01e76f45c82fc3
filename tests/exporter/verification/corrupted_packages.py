"""Ways to damage a Core ML package on disk, and the check of the gate that has to notice."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from corrupted_package_contents import broken_packages, edited_descriptions, edited_operators
from package_edits import Edit, both, exchange, flip_bit, rewrite, set_number
from small_models import small_model
from small_packages import BLOCKS, WEIGHTS, write_package

#: The artifact cannot be opened or run at all: the gate raises UserError.
UNUSABLE = "unusable"

AUDIT = "weight audit"
TIED = {"task": "masked-lm", "family": "bert"}
QUERY, KEY = "layers.0.attention.query.weight", "layers.0.attention.key.weight"
WORDS = "embeddings.word.weight"
POOLER = "head.pooler.weight"


@dataclass(frozen=True)
class PackageCorruption:
    """``edit`` changes the package; ``check`` has to fail, and nothing else if ``only``.

    For ``UNUSABLE``, ``says`` is what the error's message has to match.
    """

    name: str
    check: str
    edit: Edit
    precision: str = "fp16"
    flavour: str = "optimized"
    only: bool = False
    changes: dict[str, Any] = field(default_factory=dict)
    says: str = ""


def package_corruptions() -> Iterator[PackageCorruption]:
    """Every way in which a package is damaged in the tests."""
    yield from _bits()
    yield from _compressed_bits()
    yield from _values()
    yield from _other_weights()
    for name, check, edit, options in edited_operators():
        yield PackageCorruption(name, check, edit, **options)
    for name, check, edit, options in edited_descriptions():
        yield PackageCorruption(name, check, edit, **options)
    for name, says, edit, options in broken_packages():
        yield PackageCorruption(name, UNUSABLE, edit, says=says, **options)


def _bits() -> Iterator[PackageCorruption]:
    """One bit of a weight that is not compressed."""

    def flipped(name: str, precision: str, **options: Any) -> PackageCorruption:
        title = f"last bit of {name}"
        return PackageCorruption(title, AUDIT, flip_bit(name, 0), precision, only=True, **options)

    vectors = ("layers.0.attention.key.bias", "embeddings.norm.weight", "head.pooler.bias")
    for precision in ("fp32", "fp16"):
        for name in (QUERY, WORDS, *vectors):
            yield flipped(name, precision)
        yield flipped(QUERY, precision, flavour="sequence_ranged_logits")
    yield flipped("layers.0.feed_forward.norm.bias", "int8")
    yield flipped("embeddings.token_type.weight", "int8")
    for precision in ("fp16", "int8"):  # of the table of the words, which is the decoder too
        name = WORDS if precision == "fp16" else f"{WORDS}.data"
        title = f"bit 0 of the tied {name}"
        yield PackageCorruption(title, AUDIT, flip_bit(name, 0), precision, changes=TIED)


def _compressed_bits() -> Iterator[PackageCorruption]:
    """One bit of a compressed weight, in every form in which weights are compressed."""
    older = "sequence_ranged_logits"
    for part, precision, flavour, changes in (
        ("data", "int8", "optimized", {}),
        ("quantized_data", "int8", older, {}),
        ("data", "int4", "optimized", BLOCKS),
        ("indices", "palettized4", "optimized", {}),
        ("indices", "palettized6", "optimized", {}),
        ("indices", "palettized6", older, {}),
        ("data", "w8a8", "logits", {"task": "masked-lm"}),
    ):
        for bit in (0, 3, 4, 7) if precision == "int4" else (0, 7):
            yield PackageCorruption(
                f"bit {bit} of {part} in {flavour}",
                AUDIT,
                flip_bit(f"{QUERY}.{part}", bit),
                precision,
                flavour,
                changes=changes,
            )
    for part, precision, flavour, changes in (
        ("scale", "int8", "optimized", {}),
        ("scale", "int8", older, {}),
        ("scale", "int4", "optimized", BLOCKS),
        ("lut", "palettized4", "optimized", {}),
        ("lut", "palettized6", "optimized", {}),
        ("lut", "palettized6", older, {}),
    ):
        edit = flip_bit(f"{QUERY}.{part}", 0)
        title = f"last bit of {part} in {flavour}"
        yield PackageCorruption(title, AUDIT, edit, precision, flavour, True, changes)


def _values() -> Iterator[PackageCorruption]:
    """Whole weights that are wrong."""

    def wrong(name: str, edit: Edit, precision: str = "fp16", **options: Any) -> PackageCorruption:
        return PackageCorruption(name, AUDIT, edit, precision, **options)

    for precision, name, dtype in (
        ("fp32", QUERY, "<f4"),
        ("fp16", QUERY, "<f2"),
        ("int8", f"{QUERY}.data", "i1"),
    ):
        yield wrong("groups swapped", rewrite(name, dtype, _swap_groups), precision)
        yield wrong("groups transposed", rewrite(name, dtype, _transpose_groups), precision)
        yield wrong("zeros", rewrite(name, dtype, np.zeros_like), precision)
    yield wrong("query and key swapped", exchange(QUERY, KEY))
    biases = "layers.0.attention.query.bias", "layers.0.attention.key.bias"
    yield wrong("biases swapped", exchange(*biases))
    swapped = both(
        exchange(f"{QUERY}.data", f"{KEY}.data"), exchange(f"{QUERY}.scale", f"{KEY}.scale")
    )
    yield wrong("compressed query and key swapped", swapped, "int8")
    rows = rewrite("head.classifier.weight", "<f2", lambda v: v.reshape(3, 32)[::-1].ravel())
    yield wrong("classifier rows swapped", rows)
    yield wrong("bias of the labels", set_number("head__classifier__bias", "val", lambda b: b / 2))
    yield wrong("not a number", rewrite("embeddings.norm.weight", "<f2", _nan), flavour="logits")
    yield wrong("norm reversed", rewrite("layers.0.attention.norm.bias", "<f2", lambda v: v[::-1]))
    coarser = both(
        rewrite(f"{QUERY}.scale", "<f2", lambda scale: scale * 2),
        rewrite(f"{QUERY}.data", "i1", lambda levels: np.rint(levels / 2)),
    )
    yield wrong("twice the step", coarser, "int8")
    older = {"precision": "int8", "flavour": "sequence_ranged_logits"}
    pooler = POOLER.replace(".", "__")
    yield wrong("zero point", set_number(pooler, "zero_point", 1), **older)
    yield wrong("axis of the scale", set_number(pooler, "axis", 1), **older)


def _other_weights() -> Iterator[PackageCorruption]:
    """The weights of another model of the same sizes, and of one with other sizes."""

    def others(**changes: Any) -> Edit:
        def edit(path: Path) -> None:
            model = small_model(layers=1, weights_seed=7, **changes)
            (path.parent / "other").mkdir()
            other = write_package(model, path.parent / "other", "fp16")
            shutil.copyfile(other.path / WEIGHTS, path / WEIGHTS)

        return edit

    yield PackageCorruption("weights of another model", AUDIT, others())
    larger = others(intermediate_size=96)
    says = "has 1536 bytes .* not the 1024"
    yield PackageCorruption("weights of a larger model", UNUSABLE, larger, says=says)


def _swap_groups(values: Any) -> Any:
    return values.reshape(4, -1)[[1, 0, 2, 3]].ravel()


def _transpose_groups(values: Any) -> Any:
    return values.reshape(4, 8, 8).transpose(0, 2, 1).ravel()


def _nan(values: Any) -> Any:
    values[-1] = np.nan
    return values
