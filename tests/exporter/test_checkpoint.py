"""Loading a checkpoint: what is found, for which task, with which hashes."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from checkpoint_folders import (
    LABELS,
    VOCABULARY,
    Write,
    checkpoint_writer,
    edit_config,
    refused,
)

from exporter import checkpoint
from exporter.checkpoint import Checkpoint, load
from exporter.model.config import FAMILIES, TASKS, Family, Task, architecture
from exporter.model.weights import weight_shapes
from exporter.tokenizer import complete_files, load_tokenizer


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return checkpoint_writer(tmp_path)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_task_follows_the_checkpoint(family: Family, task: Task, write: Write) -> None:
    folder = write(family, task)
    found = load(str(folder))
    assert (found.model.task, found.class_name) == (task, architecture(family, task))
    assert found.model.labels == (LABELS if task.endswith("classification") else None)
    assert found.trained
    assert found.name == str(folder)
    assert found.ignored_tensors == ()
    assert found.config_json["architectures"] == [architecture(family, task)]
    expected = weight_shapes(found.model.config, task, 3)
    assert {n: tuple(w.shape) for n, w in found.model.weights.items()} == expected


@pytest.mark.parametrize("task", TASKS)
def test_the_task_follows_the_tensors_without_architectures(task: Task, write: Write) -> None:
    folder = write("bert", task, {"architectures": None})
    if task.endswith("classification"):
        assert "--task" in refused(folder).next_step
        assert load(str(folder), task=task).model.task == task
    else:
        assert load(str(folder)).model.task == task


@pytest.mark.parametrize("task", TASKS)
def test_every_checkpoint_serves_for_feature_extraction(task: Task, write: Write) -> None:
    found = load(str(write("bert", task)), task="feature-extraction")
    assert found.model.labels is None
    assert "id2label" not in found.config_json
    assert found.config_json["architectures"] == ["BertModel"]
    assert all(not name.startswith("head.") for name in found.model.weights)
    assert bool(found.ignored_tensors) == (task != "feature-extraction")


@pytest.mark.parametrize("own", TASKS)
@pytest.mark.parametrize("asked", TASKS)
def test_another_task_needs_another_head(own: Task, asked: Task, write: Write) -> None:
    folder = write("squeezebert", own)
    if asked in (own, "feature-extraction"):
        load(str(folder), task=asked)
    else:
        assert f"no head for {asked}" in refused(folder, task=asked).message


def test_heads_that_are_not_supported(write: Write) -> None:
    folder = write("bert", config={"architectures": ["BertForMultipleChoice"]})
    error = refused(folder)
    assert "BertForMultipleChoice" in error.message
    assert "--task feature-extraction" in error.next_step
    refused(folder, task="sequence-classification")
    assert load(str(folder), task="feature-extraction").class_name == "BertModel"


def test_pretraining_checkpoint_is_a_masked_language_model(write: Write) -> None:
    folder = write("bert", "masked-lm", {"architectures": ["BertForPreTraining"]})
    assert load(str(folder)).model.task == "masked-lm"


@pytest.mark.parametrize("value", [["RobertaForMaskedLM"], ["SqueezeBertModel"], "BertModel"])
def test_unknown_architecture(value: object, write: Write) -> None:
    folder = write("bert", config={"architectures": value})
    assert "architecture" in refused(folder).message


def test_unknown_task_and_model_type(write: Write) -> None:
    folder = write("bert", config={"model_type": "electra"})
    assert "electra" in refused(folder).message
    assert "translation" in refused(folder, task="translation").message


class TestHashes:
    """The source hash changes with everything that the artifacts are made from."""

    def test_same_input_same_hash(self, write: Write) -> None:
        one, two = load(str(write(name="one"))), load(str(write(name="two")))
        assert one.source_hash == two.source_hash
        assert one.tokenizer_hash == two.tokenizer_hash
        assert len(one.source_hash) == 64

    @pytest.mark.parametrize("change", ["weights", "config", "labels", "tokenizer", "task"])
    def test_every_change_shows(self, change: str, write: Write) -> None:
        before = load(str(write(name="before")))
        folder = write(name="after", seed=1 if change == "weights" else 0)
        task: Task | None = None
        labels = None
        if change == "config":
            edit_config(folder, hidden_act="relu")
        elif change == "labels":
            labels = ["x", "y", "z"]
        elif change == "tokenizer":
            (folder / "tokenizer_config.json").write_text('{"model_max_length": 9}')
        elif change == "task":
            task = "feature-extraction"
        after = load(str(folder), task=task, labels=labels)
        assert after.source_hash != before.source_hash
        assert (after.tokenizer_hash != before.tokenizer_hash) == (change == "tokenizer")

    def test_one_bit_of_a_weight(self, write: Write) -> None:
        found = load(str(write()))
        weights = {name: tensor.clone() for name, tensor in found.model.weights.items()}
        weights["head.classifier.bias"].view(torch.int32)[1] ^= 1
        changed = dataclasses.replace(found.model, weights=weights)
        assert found.source_hash != checkpoint._hash_source(
            changed, found.config_json, found.tokenizer_hash
        )


def test_half_precision_is_widened(write: Write) -> None:
    found = load(str(write(dtype=torch.float16)))
    assert {tensor.dtype for tensor in found.model.weights.values()} == {torch.float32}


def test_tokenizer_and_length(write: Write) -> None:
    folder = write()
    found = load(str(folder))
    assert found.max_length == 12
    assert found.tokenizer_files == complete_files({"vocab.txt": VOCABULARY}, 8, 12)
    assert load_tokenizer(found.tokenizer_files).encode("ac b").tokens == [
        "[CLS]",
        "a",
        "##c",
        "b",
        "[SEP]",
    ]
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 9}')
    assert load(str(folder)).max_length == 9
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1e30}')
    assert load(str(folder)).max_length == 12


def test_tokenizer_that_does_not_fit(write: Write) -> None:
    folder = write()
    (folder / "vocab.txt").write_bytes(VOCABULARY + b"d\n")
    assert "ids up to 8, but the word embedding has 8 rows" in refused(folder).message
    (folder / "vocab.txt").unlink()
    assert "tokenizer.json nor vocab.txt" in refused(folder).message


def test_configuration_for_the_bundle(write: Write) -> None:
    folder = write(
        config={
            "num_labels": 3,
            "_name_or_path": "/home/someone/model",
            "layer_norm_eps": None,
            "problem_type": "single_label_classification",
        }
    )
    values = load(str(folder)).config_json
    assert "num_labels" not in values
    assert "_name_or_path" not in values
    assert values["layer_norm_eps"] == 1e-12
    assert values["problem_type"] == "single_label_classification"
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: en\nlicense: bsd\ndatasets:\n- glue\n---\n# Model\n", "bsd"),
        ('---\r\nlicense: "apache-2.0"\r\n---\r\n', "apache-2.0"),
        ("# Model\nlicense: mit\n", None),
        ("---\nlanguage: en\n---\nlicense: mit\n", None),
        (None, None),
    ],
)
def test_licence_of_the_model_card(card: str | None, licence: str | None, write: Write) -> None:
    folder = write()
    if card is not None:
        (folder / "README.md").write_bytes(card.encode())
    assert load(str(folder)).licence == licence


@pytest.mark.parametrize(
    ("written", "languages"),
    [
        ("language: en", ("en",)),
        ("language:\n- en\n- de", ("en", "de")),
        ("language: no", ("no",)),
        ("language:", ()),
        ("license: mit", ()),
    ],
)
def test_languages_of_the_model_card(
    written: str, languages: tuple[str, ...], write: Write
) -> None:
    folder = write()
    (folder / "README.md").write_text(f"---\n{written}\n---\n")
    assert load(str(folder)).languages == languages


def test_a_checkpoint_cannot_be_changed(write: Write) -> None:
    found: Checkpoint = load(str(write()))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.trained = False  # type: ignore[misc]
