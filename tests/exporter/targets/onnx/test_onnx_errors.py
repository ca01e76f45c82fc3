"""Damaged files and inputs that cannot be used: each a UserError that says what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from small_models import MAX_POSITIONS, VOCABULARY, make_batch, small_model, write

from exporter.errors import UserError
from exporter.targets.base import Array
from exporter.targets.onnx import TARGET, USUAL_PRECISIONS
from exporter.targets.onnx.graph import save
from exporter.targets.onnx.session import OnnxSession

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write(small_model(), tmp_path, "fp32", "optimized")[1]


@pytest.fixture
def session(artifact: Path) -> OnnxSession:
    return TARGET.open(artifact)


READERS: dict[str, Callable[[Path], Any]] = {
    "open": TARGET.open,
    "open with taps": lambda path: TARGET.open(path, taps=True),
    "signature": TARGET.signature,
    "metadata": TARGET.metadata,
    "structure": TARGET.structure,
    "files": TARGET.files,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("damage", [lambda _: b"\xff" * 64, lambda whole: whole[: len(whole) // 2]])
def test_damaged_files(
    damage: Callable[[bytes], bytes], read: Callable[[Path], Any], artifact: Path
) -> None:
    artifact.write_bytes(damage(artifact.read_bytes()))
    with pytest.raises(UserError) as error:
        read(artifact)
    assert artifact.name in error.value.message
    assert "--force" in error.value.next_step


def test_an_empty_file(artifact: Path) -> None:
    artifact.write_bytes(b"")
    with pytest.raises(UserError):
        TARGET.open(artifact)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_missing_files(read: Callable[[Path], Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.onnx"):
        read(tmp_path / "none.onnx")


def test_external_data_that_is_missing(artifact: Path) -> None:
    save(onnx.load(artifact), artifact, external_above=0)
    artifact.with_name(f"{artifact.name}.data").unlink()
    for read in (TARGET.open, TARGET.structure):
        with pytest.raises(UserError):
            read(artifact)


def change(name: str, edit: Callable[[Array], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda batch: {**batch, name: edit(batch[name])}


WRONG_INPUTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "int32": change("input_ids", lambda ids: ids.astype(np.int32)),
    "float mask": change("attention_mask", lambda mask: mask.astype(np.float32)),
    "lists": lambda batch: {name: values.tolist() for name, values in batch.items()},
    "one dimension": lambda batch: {name: values[0] for name, values in batch.items()},
    "three dimensions": lambda batch: {name: values[None] for name, values in batch.items()},
    "shapes differ": change("token_type_ids", lambda types: types[:, :-1]),
    "name missing": lambda batch: {k: v for k, v in batch.items() if k != "token_type_ids"},
    "name unknown": lambda batch: {**batch, "position_ids": batch["input_ids"]},
    "nothing": lambda _: {},
    "no tokens": lambda batch: {name: values[:, :0] for name, values in batch.items()},
    "no rows": lambda batch: {name: values[:0] for name, values in batch.items()},
}


@pytest.mark.parametrize("wrong", WRONG_INPUTS.values(), ids=WRONG_INPUTS)
def test_inputs_of_another_form(
    wrong: Callable[[dict[str, Any]], dict[str, Any]], session: OnnxSession
) -> None:
    batch = make_batch(2, 6)
    session.run(batch)
    with pytest.raises(UserError, match=r"^The inputs are") as error:
        session.run(wrong(batch))
    assert "int64 [batch, sequence]" in error.value.next_step


def test_too_long(session: OnnxSession) -> None:
    session.run(make_batch(1, MAX_POSITIONS))
    with pytest.raises(UserError, match="41 tokens; the model has 40 positions"):
        session.run(make_batch(1, MAX_POSITIONS + 1))


@pytest.mark.parametrize("precision", USUAL_PRECISIONS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_ids", VOCABULARY),
        ("input_ids", -1),
        ("input_ids", 2**40),
        ("token_type_ids", 2),
        ("token_type_ids", -1),
    ],
)
def test_ids_outside_the_tables(precision: str, name: str, value: int, tmp_path: Path) -> None:
    """A negative index is one from the end for ONNX: it must not answer as if it were a token."""
    _, path = write(small_model(), tmp_path, precision, "optimized")
    batch = make_batch(2, 6)
    batch[name][1, 2] = value
    with pytest.raises(UserError) as error:
        TARGET.open(path).run(batch)
    assert "vocabulary" in error.value.next_step


def test_nothing_is_returned_from_a_file_that_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``write`` opens what it wrote."""

    def save_half(model: onnx.ModelProto, path: Path) -> None:
        path.write_bytes(model.SerializeToString()[:1000])

    monkeypatch.setattr("exporter.targets.onnx.save", save_half)
    with pytest.raises(UserError, match="cannot be opened"):
        write(small_model(), tmp_path, "fp32", "optimized")


def test_fp16_refuses_values_beyond_its_range(tmp_path: Path) -> None:
    model = small_model()
    model.weights["layers.0.attention.query.weight"][3, 2] = 70000.0
    with pytest.raises(UserError, match=r"layers\.0\.attention\.query\.weight.*7e\+04"):
        write(model, tmp_path, "fp16", "optimized")
    write(model, tmp_path, "fp32", "optimized")
