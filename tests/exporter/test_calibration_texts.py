"""Texts to calibrate with: from both kinds of files, drawn by a seed, without padding."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import make_batch, small_model, tensors

from exporter.calibration_texts import CalibrationTexts, calibration_texts, read_any_texts
from exporter.checkpoint import Checkpoint, load
from exporter.errors import UserError
from exporter.quantization.mix import uniform_mix
from exporter.quantization.schemes.mixed import mixed_reference
from exporter.quantization.smoothing import static_bounds

pytestmark = pytest.mark.usefixtures("quick")

WORDS = [" ".join(["how", "much", "is", "the", "fish"] * (1 + i % 5)) for i in range(40)]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load("example:intents")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(WORDS) + "\n\n")
    return path


def lengths(texts: CalibrationTexts) -> list[int]:
    return [row["input_ids"].shape[1] for row in texts.rows]


def test_plain_and_tab_separated_files_give_the_same(
    checkpoint: Checkpoint, plain: Path, tmp_path: Path
) -> None:
    table = tmp_path / "texts.tsv.gz"
    table.write_bytes(
        gzip.compress(("label\ttext\n" + "\n".join(f"x\t{w}" for w in WORDS)).encode())
    )
    one, other = (calibration_texts(checkpoint, path, 9) for path in (plain, table))
    assert lengths(one) == lengths(other)
    assert (one.available, other.available) == (40, 40)
    assert one.sha256 != other.sha256


def test_the_seed_decides_and_fewer_are_the_first_of_more(
    checkpoint: Checkpoint, plain: Path
) -> None:
    drawn = lengths(calibration_texts(checkpoint, plain, 20))
    assert lengths(calibration_texts(checkpoint, plain, 20)) == drawn
    assert lengths(calibration_texts(checkpoint, plain, 8)) == drawn[:8]
    assert lengths(calibration_texts(checkpoint, plain, 20, seed=1)) != drawn
    first = calibration_texts(checkpoint, plain, 5, seed=None)
    assert lengths(first) == [7, 12, 17, 22, 27]
    assert first.lengths == {"8": 1, "16": 1, "32": 3}
    everything = lengths(calibration_texts(checkpoint, plain, 1000))
    assert sorted(everything) == sorted([7, 12, 17, 22, 27] * 8)


def test_a_file_sorted_by_length_is_sampled_as_it_is_in_use(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "sorted.txt"
    path.write_text("\n".join(sorted(WORDS, key=len)))
    assert set(lengths(calibration_texts(checkpoint, path, 20))) == {7, 12, 17, 22, 27}
    assert set(lengths(calibration_texts(checkpoint, path, 20, seed=None))) == {7, 12, 17}


def test_rows_have_no_padding(checkpoint: Checkpoint, plain: Path) -> None:
    for row in calibration_texts(checkpoint, plain, 4).rows:
        assert all(v.dtype == np.int64 and v.shape == row["input_ids"].shape for v in row.values())
        assert row["attention_mask"].all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("how are you\ngood\tbad\n", r"line 2: a tab, in a file that begins like plain text"),
        ("question\tanswer\na\tb\n", "no usable header"),
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("text\n", "holds no examples"),
    ],
)
def test_files_that_are_neither(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_any_texts(path)


def test_question_answering_takes_no_plain_text(checkpoint: Checkpoint, plain: Path) -> None:
    asks = replace(checkpoint, model=small_model(task="question-answering"))
    with pytest.raises(UserError, match="single texts"):
        calibration_texts(asks, plain, 3)


def test_bounds_that_clip_padding_change_no_output() -> None:
    """Why rows are calibrated without padding."""
    model = small_model(task="token-classification")
    model = replace(
        model, mix=uniform_mix(model.config, model.task, "int8_static", "int8", "int8_static")
    )
    alone = {name: values[:, :9] for name, values in make_batch(1, 20).items()}
    padded = {name: np.pad(values, ((0, 0), (0, 30))) for name, values in alone.items()}
    assert model.mix is not None
    model = replace(model, mix=replace(model.mix, bounds=static_bounds(model, [alone])))
    wider = static_bounds(model, [padded])
    assert any(wider[name][1] > 1.01 * bounds[1] for name, bounds in model.mix.bounds.items())
    with torch.no_grad():
        one, other = (
            mixed_reference(model).run(**tensors(batch))["logits"][:, :9]
            for batch in (alone, padded)
        )
    assert torch.allclose(one, other, atol=1e-4)
