"""Loading a checkpoint: what is found, for which task, with which labels and hashes."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from exporter import checkpoint
from exporter.checkpoint import Checkpoint, load
from exporter.errors import UserError
from exporter.model.config import (
    CLASS_SUFFIXES,
    FAMILIES,
    TASKS,
    EncoderConfig,
    Family,
    Task,
    architecture,
)
from exporter.model.random import sensitised_weights
from exporter.model.weights import to_hugging_face, weight_shapes
from exporter.tokenizer import complete_files, load_tokenizer

VOCABULARY = "".join(
    f"{piece}\n" for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##c")
).encode()
LABELS = ("no", "maybe", "yes")

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a tiny checkpoint; ``config`` changes fields of config.json (None removes one)."""

    def build(
        family: Family = "squeezebert",
        task: Task = "sequence-classification",
        config: Mapping[str, Any] | None = None,
        *,
        name: str = "model",
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> Path:
        values = {
            "model_type": family,
            "vocab_size": 8,
            "hidden_size": 8,
            "embedding_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": 12,
        }
        encoder = EncoderConfig.from_hugging_face(values)
        labels = LABELS if task.endswith("classification") else None
        values = {**values, **encoder.to_hugging_face(task, labels), **(config or {})}
        weights = sensitised_weights(encoder, task, 3, seed)
        state = {n: t.to(dtype) for n, t in to_hugging_face(weights, encoder, task).items()}
        folder = tmp_path / name
        folder.mkdir()
        kept = {key: value for key, value in values.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))
        (folder / "vocab.txt").write_bytes(VOCABULARY)
        safetensors.torch.save_file(state, folder / "model.safetensors")
        return folder

    return build


def refused(model: Path | str, **arguments: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        load(str(model), **arguments)
    assert caught.value.next_step
    return caught.value


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))


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


class TestLabels:
    """Named by the checkpoint or by the user; never guessed."""

    @pytest.mark.parametrize("table", [None, {}, {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}])
    def test_missing(self, table: object, write: Write) -> None:
        folder = write(config={"id2label": table})
        error = refused(folder)
        assert "does not name its 3 labels" in error.message
        assert "--labels" in error.next_step
        assert load(str(folder), labels=["x", "y", "z"]).model.labels == ("x", "y", "z")

    def test_order_is_that_of_the_numbers(self, write: Write) -> None:
        folder = write(config={"id2label": {"2": "yes", "0": "no", "1": "maybe"}})
        found = load(str(folder))
        assert found.model.labels == LABELS
        assert found.config_json["id2label"] == {"0": "no", "1": "maybe", "2": "yes"}
        assert found.config_json["label2id"] == {"no": 0, "maybe": 1, "yes": 2}

    @pytest.mark.parametrize(
        ("table", "cause"),
        [
            ({"0": "no", "1": "yes"}, "2 labels, but the classifier has 3 outputs"),
            ({"0": "no", "1": "yes", "3": "maybe"}, "does not number"),
            ({"0": "no", "1": "yes", "2": "no"}, "two labels alike"),
            (["no", "yes", "maybe"], "does not number"),
        ],
    )
    def test_tables_that_cannot_be_right(self, table: object, cause: str, write: Write) -> None:
        assert cause in refused(write(config={"id2label": table})).message

    @pytest.mark.parametrize(
        ("labels", "cause"),
        [
            (["a", "b"], "2 labels, but the classifier has 3 outputs"),
            (["a", "b", "a"], "repeated"),
            (["a", " ", "c"], "empty"),
            (["yes", "no", "maybe"], "in another order"),
        ],
    )
    def test_given_labels_that_cannot_be_right(
        self, labels: list[str], cause: str, write: Write
    ) -> None:
        assert cause in refused(write(), labels=labels).message

    def test_given_labels_rename(self, write: Write) -> None:
        found = load(str(write()), labels=["nein", "vielleicht", "ja"])
        assert found.model.labels == ("nein", "vielleicht", "ja")
        assert found.config_json["id2label"]["2"] == "ja"

    def test_tasks_without_labels(self, write: Write) -> None:
        assert "no labels" in refused(write("bert", "masked-lm"), labels=["a"]).message


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


def test_the_example_is_english() -> None:
    assert load("example:intents").languages == ("en",)


class TestNamedArchitectures:
    """Seeded weights, so that everything runs without a checkpoint."""

    @pytest.fixture
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The architectures with one thin layer: the real ones take a second each."""
        thin = {
            "hidden_size": 8,
            "embedding_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
        }
        shrunk = {n: {**v, **thin} for n, v in checkpoint.RANDOM_ARCHITECTURES.items()}
        monkeypatch.setattr(checkpoint, "RANDOM_ARCHITECTURES", shrunk)

    @pytest.mark.parametrize(
        ("name", "parameters"),
        [("random:squeezebert-base", 51_096_579), ("random:bert-base", 109_484_547)],
    )
    def test_sizes_are_those_of_the_published_models(self, name: str, parameters: int) -> None:
        """51.1 M and 109.5 M with the classifier of three outputs."""
        config = EncoderConfig.from_hugging_face(checkpoint.RANDOM_ARCHITECTURES[name])
        shapes = weight_shapes(config, "sequence-classification", 3)
        assert sum(torch.Size(shape).numel() for shape in shapes.values()) == parameters

    @pytest.mark.usefixtures("small")
    @pytest.mark.parametrize("name", ["random:squeezebert-base", "random:bert-base"])
    def test_is_complete_and_untrained(self, name: str) -> None:
        found = load(name)
        assert not found.trained
        assert found.model.task == "sequence-classification"
        assert found.model.labels == ("contradiction", "entailment", "neutral")
        assert found.max_length == 512
        assert load_tokenizer(found.tokenizer_files).get_vocab_size() == 30522
        assert EncoderConfig.from_hugging_face(found.config_json) == found.model.config

    @pytest.mark.usefixtures("small")
    def test_follows_the_seed(self) -> None:
        def hash_of(**arguments: Any) -> str:
            return load("random:squeezebert-base", **arguments).source_hash

        assert hash_of(seed=1) == hash_of(seed=1) != hash_of(seed=2)

    @pytest.mark.usefixtures("small")
    @pytest.mark.parametrize("task", TASKS)
    def test_every_task(self, task: Task) -> None:
        found = load("random:squeezebert-base", task=task)
        assert found.class_name == "SqueezeBert" + CLASS_SUFFIXES[task]

    @pytest.mark.usefixtures("small")
    def test_labels(self) -> None:
        found = load("random:bert-base", task="token-classification", labels=["O", "B"])
        assert found.model.labels == ("O", "B")
        assert "no labels" in refused("random:bert-base", task="masked-lm", labels=["O"]).message

    def test_unknown(self) -> None:
        error = refused("random:bert-huge")
        assert "random:bert-huge" in error.message
        assert "random:bert-base" in error.next_step


def test_unknown_example() -> None:
    assert "no example 'nothing'" in refused("example:nothing").message


def test_a_checkpoint_cannot_be_changed(write: Write) -> None:
    found: Checkpoint = load(str(write()))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.trained = False  # type: ignore[misc]
