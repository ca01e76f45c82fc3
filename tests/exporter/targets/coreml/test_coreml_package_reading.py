"""Packages are read as they are on disk; what is damaged or not understood is refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from written_packages import (
    LABELS,
    MODEL,
    WEIGHTS,
    block,
    operation,
    with_file,
    with_model,
    write_classifier,
    write_package,
)

from exporter.errors import UserError
from exporter.targets.coreml.interpreter import Constant, Reference, open_package
from exporter.targets.coreml.interpreter.errors import Unreadable
from exporter.targets.coreml.interpreter.package import read_package
from exporter.targets.coreml.interpreter.storage import read_storage


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("package"))


def _refused(path: Path, message: str) -> None:
    with pytest.raises(UserError) as refused:
        open_package(path)
    assert f"{path} cannot be read: {message}" in refused.value.message


def test_what_the_package_says(package: Path) -> None:
    found = open_package(package)
    described = found.description
    (given,) = described.inputs
    assert (given.name, given.dtype, given.shape) == ("x", "int32", (1, 8))
    assert sorted(given.enumerated) == [(1, 4), (1, 8)]
    assert [given.takes(shape) for shape in ((1, 4), (1, 8), (1, 5), (2, 4))] == [1, 1, 0, 0]
    outputs = [(output.name, output.dtype) for output in described.outputs]
    assert outputs == [
        ("classLabel", "string"),
        ("classLabel_probs", "dictionary"),
        ("logits", "float32"),
    ]
    assert described.class_labels == LABELS
    assert described.predicted == ("classLabel", "classLabel_probs")
    texts = (described.author, described.license, described.version, described.short_description)
    assert texts == ("somebody", "a licence", "3", "what it is")
    assert described.user_defined["pad"] == "0"
    assert (described.specification_version, found.program.opset) == (9, "CoreML8")


def test_the_program(package: Path) -> None:
    program = open_package(package).program
    kinds = [operation.kind for operation in program.operations]
    assert kinds == [
        *("constexpr_blockwise_shift_scale", "gather", "linear", "layer_norm", "reduce_mean"),
        *("linear", "cast", "softmax", "classify"),
    ]
    product = program.operations[2]
    assert product.operands["weight"] == Reference("w")
    bias = product.operands["bias"]
    assert isinstance(bias, Constant)
    assert (bias.name, bias.dtype, bias.shape) == ("hidden_bias_0", "float16", (16,))
    assert product.results[0].shape == (1, None, 16)
    assert product.place.endswith(" of main (hidden)")
    position = int(product.place.split()[1])
    message = _model(package)
    assert block(message).operations[position].outputs[0].name == "hidden"
    assert program.operations[6].operands["dtype"] == "fp32"


def _model(path: Path) -> Any:
    from exporter.targets.coreml.interpreter.formats import parse_model

    return parse_model((path / MODEL).read_bytes())


def test_weights_stay_mapped(package: Path) -> None:
    """Not read into memory: the bytes are the file's own."""
    weight = open_package(package).program.operations[0].operands["data"]
    assert isinstance(weight, Constant)
    stored = np.frombuffer((package / WEIGHTS).read_bytes(), np.int8)
    values = weight.values()
    assert not values.flags.writeable
    assert np.shares_memory(values, np.frombuffer(weight.content, np.int8))
    assert values.tobytes() in stored.tobytes()


@pytest.mark.parametrize("deployment", ["iOS17", "iOS18"])
def test_ranges_of_shapes(deployment: str, tmp_path: Path) -> None:
    from coremltools import RangeDim, Shape

    shape = Shape((1, RangeDim(2, 5, default=3)))
    path = write_package(
        tmp_path / "r.mlpackage", lambda mb, x: mb.cast(x=x, dtype="fp32"), deployment, shape
    )
    (given,) = open_package(path).description.inputs
    assert (given.shape, given.ranges, given.enumerated) == ((1, 3), ((1, 1), (2, 5)), ())
    assert [given.takes((1, size)) for size in (1, 2, 5, 6)] == [False, True, True, False]
    assert not given.takes((2, 3))
    assert given.shapes() == "(1, 2 to 5)"


def test_what_is_no_package(package: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "file", package / MODEL):
        with pytest.raises(UserError, match="is no Core ML package"):
            open_package(path)
    folder = tmp_path / "empty.mlpackage"
    folder.mkdir()
    with pytest.raises(UserError, match=r"package: it has no Manifest\.json\. Copy the whole"):
        open_package(folder)


def test_files_that_are_missing_or_not_known(package: Path, tmp_path: Path) -> None:
    copy = with_file(package, tmp_path, ".DS_Store", b"left behind by a file manager")
    open_package(copy)
    (copy / "Data/other.bin").write_bytes(b"")
    _refused(copy, "it has a file that no package has: Data/other.bin")
    copy = with_file(package, tmp_path, ".DS_Store", b"")
    (copy / WEIGHTS).unlink()
    _refused(copy, "its weights are missing")
    copy = with_file(package, tmp_path, ".DS_Store", b"")
    (copy / MODEL).unlink()
    _refused(copy, f"{MODEL} is missing")


def test_a_package_without_large_constants(tmp_path: Path) -> None:
    """coremltools lists its folder of weights all the same; a listed folder has to be there."""
    path = write_package(tmp_path / "s.mlpackage", lambda mb, x: mb.cast(x=x, dtype="fp32"))
    folder = (path / WEIGHTS).parent
    assert list(folder.iterdir()) == []
    open_package(path)
    folder.rmdir()
    _refused(path, "its weights are missing")


def test_damaged_manifests(package: Path, tmp_path: Path) -> None:
    manifest = json.loads((package / "Manifest.json").read_text())

    def changed(change: Callable[[dict[str, Any]], object]) -> Path:
        copy = json.loads(json.dumps(manifest))
        change(copy)
        return with_file(package, tmp_path, "Manifest.json", json.dumps(copy).encode())

    open_package(changed(lambda _: None))
    _refused(with_file(package, tmp_path, "Manifest.json", b"{"), "its Manifest.json is damaged")
    _refused(with_file(package, tmp_path, "Manifest.json", b"[]"), "its Manifest.json is damaged")
    _refused(changed(lambda m: m.pop("rootModelIdentifier")), "its Manifest.json is damaged")
    weights = next(
        k for k, item in manifest["itemInfoEntries"].items() if "weights" in item["path"]
    )
    for change in (
        lambda m: m.update(rootModelIdentifier=weights),
        lambda m: m.update(fileFormatVersion="2.0.0"),
        lambda m: m["itemInfoEntries"].update(more={"path": "com.apple.CoreML/more"}),
        lambda m: m["itemInfoEntries"][weights].update(path="com.apple.CoreML/others"),
    ):
        _refused(changed(change), "its Manifest.json lists com.apple.CoreML/mo")


def test_a_damaged_model(package: Path, tmp_path: Path) -> None:
    content = (package / MODEL).read_bytes()
    _refused(with_file(package, tmp_path, MODEL, content[:-1]), "its model")
    _refused(with_file(package, tmp_path, MODEL, content[: len(content) // 2]), "its model")
    _refused(with_file(package, tmp_path, MODEL, b""), "its model is no ML program")
    # A field that nobody knows (number 2047, a number 1), at the end.
    unknown = content + b"\xf8\x7f\x01"
    _refused(with_file(package, tmp_path, MODEL, unknown), "its model has parts that are not un")
    # The version a second time: only the last one would count.
    twice = content + b"\x08\x09"
    _refused(with_file(package, tmp_path, MODEL, twice), "its model has parts that are not underst")


def test_truncated_weights(package: Path, tmp_path: Path) -> None:
    content = (package / WEIGHTS).read_bytes()
    for length in (0, 10, 63, 64, 100, 128, 200, len(content) // 2, len(content) - 1):
        copy = with_file(package, tmp_path, WEIGHTS, content[:length])
        truncated = "is truncated" if length >= 64 else f"has {length} bytes and no header"
        _refused(copy, f"its weight.bin {truncated}")
    padded = content + b"\0" * (-len(content) % 64)
    for extra in (b"\0", content[64:]):
        copy = with_file(package, tmp_path, WEIGHTS, padded + extra)
        _refused(copy, "its weight.bin goes on after the last of")
    copy = with_file(package, tmp_path, WEIGHTS, content + b"more")
    _refused(copy, f"its weight.bin has bytes after byte {len(content)} that belong to no entry")


def test_weights_of_another_package(package: Path, tmp_path: Path) -> None:
    """In other types, other sizes, at other places."""

    def rows(table: Any) -> Any:
        def build(mb: Any, x: Any) -> Any:
            found = mb.gather(x=table, indices=x, axis=0, validate_indices=False, name="rows")
            return mb.cast(x=found, dtype="fp32")

        return build

    tables = {
        "a": np.ones((8, 24), np.float16),
        "longer": np.ones((8, 25), np.float16),
        "wider": np.ones((8, 12), np.float32),
    }
    paths = {
        name: write_package(tmp_path / f"{name}.mlpackage", rows(table))
        for name, table in tables.items()
    }

    def swapped(path: Path, other: Path) -> Path:
        return with_file(path, tmp_path / "copy", WEIGHTS, (other / WEIGHTS).read_bytes())

    place = r"operation 0 of main (rows_x_0): the entry at byte 64 of its weight.bin"
    _refused(swapped(paths["a"], paths["wider"]), f"{place} is float32, not float16")
    _refused(swapped(paths["a"], paths["longer"]), f"{place} has 400 bytes (0 bits of them unused)")
    _refused(swapped(package, paths["a"]), "operation 0 of main (w): ")
    _refused(swapped(paths["a"], package), f"{place} is int8, not float16")


def test_weights_that_nobody_reads(package: Path, tmp_path: Path) -> None:
    def forgotten(model: Any) -> None:
        gamma = operation(model, "norm_gamma_0").attributes["val"].blobFileValue
        gamma.offset = operation(model, "norm_beta_0").attributes["val"].blobFileValue.offset

    _refused(
        with_model(package, tmp_path, forgotten),
        "its weight.bin has 1 entries that the program does not read",
    )


@given(data=strategies.data())
@settings(max_examples=60, deadline=None)
def test_no_bit_beside_the_weights_is_without_meaning(
    package: Path, data: strategies.DataObject
) -> None:
    """A flipped bit in a weight is for the audit; any other one is refused here."""
    content = bytearray((package / WEIGHTS).read_bytes())
    blobs = read_storage(memoryview(bytes(content))).blobs.values()
    weights = {byte for blob in blobs for byte in range(blob.start, blob.start + blob.size)}
    beside = sorted(set(range(len(content))) - weights)
    content[data.draw(strategies.sampled_from(beside))] ^= 1 << data.draw(strategies.integers(0, 7))
    with pytest.raises(Unreadable):
        read_package((package / MODEL).read_bytes(), memoryview(bytes(content)), "")


def test_bits_beyond_the_last_small_number(package: Path, tmp_path: Path) -> None:
    from written_packages import small_type

    def build(mb: Any, x: Any) -> Any:
        weight = mb.constexpr_blockwise_shift_scale(
            data=small_type(np.ones((5, 3), int), "int4"), scale=np.ones((5, 1), np.float16)
        )
        return mb.cast(x=mb.gather(x=weight, indices=x, axis=0), dtype="fp32")

    del package
    path = write_package(tmp_path / "small.mlpackage", build)
    content = bytearray((path / WEIGHTS).read_bytes())
    (blob, *_) = read_storage(memoryview(bytes(content))).blobs.values()
    assert (blob.size, blob.unused_bits) == (8, 4)
    content[blob.start + 7] |= 0x80
    copy = with_file(path, tmp_path / "copy", WEIGHTS, bytes(content))
    _refused(copy, "operation 0 of main (")


def test_nothing_is_written(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "a.mlpackage"
    shutil.copytree(package, copy)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    open_package(copy)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
