"""Models that come by name: architectures with seeded weights, and the example."""

from typing import Any

import pytest
import torch
from checkpoint_folders import refused

from exporter import checkpoint
from exporter.checkpoint import load
from exporter.model.config import CLASS_SUFFIXES, TASKS, EncoderConfig, Task
from exporter.model.weights import weight_shapes
from exporter.tokenizer import load_tokenizer


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


@pytest.mark.parametrize(("name", "labels"), [("intents", 150), ("nli", 3)])
def test_the_examples_are_english_and_say_their_labels(name: str, labels: int) -> None:
    checkpoint = load(f"example:{name}")
    assert checkpoint.languages == ("en",)
    assert len(checkpoint.model.labels or ()) == labels
