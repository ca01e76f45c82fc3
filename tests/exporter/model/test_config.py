"""Reading a configuration: defaults as in transformers, and what is refused."""

from typing import Any

import pytest
from transformers import BertConfig, SqueezeBertConfig

from exporter.errors import UserError
from exporter.model.config import (
    FAMILIES,
    TASKS,
    EncoderConfig,
    Family,
    GroupCounts,
    Task,
    architecture,
)

from .conftest import SmallConfig


@pytest.mark.parametrize("family", FAMILIES)
def test_defaults_are_those_of_transformers(family: Family) -> None:
    theirs = {"squeezebert": SqueezeBertConfig, "bert": BertConfig}[family]().to_dict()
    assert EncoderConfig.from_hugging_face({"model_type": family}) == (
        EncoderConfig.from_hugging_face(theirs)
    )


def test_official_configuration() -> None:
    """The config.json of squeezebert/squeezebert-mnli as it stands on the Hub."""
    config = EncoderConfig.from_hugging_face(
        {
            "attention_probs_dropout_prob": 0.1,
            "embedding_size": 768,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": 768,
            "initializer_range": 0.02,
            "intermediate_size": 3072,
            "max_position_embeddings": 512,
            "model_type": "squeezebert",
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "type_vocab_size": 2,
            "vocab_size": 30528,
            "q_groups": 4,
            "k_groups": 4,
            "v_groups": 4,
            "post_attention_groups": 1,
            "intermediate_groups": 4,
            "output_groups": 4,
            "num_labels": 3,
        }
    )
    assert config.groups == GroupCounts(4, 4, 4, 1, 4, 4)
    assert (config.vocab_size, config.head_size, config.layer_norm_epsilon) == (30528, 64, 1e-12)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_written_configuration_is_read_back(
    family: Family, task: Task, small_config: SmallConfig
) -> None:
    config = small_config(family, tied_decoder=False, activation="gelu_new", pad_token_id=3)
    written = config.to_hugging_face(task, ("a", "b"))
    assert EncoderConfig.from_hugging_face(written) == config
    assert written["architectures"] == [architecture(family, task)]
    assert written["id2label"] == {"0": "a", "1": "b"}


def test_squeezebert_layers_ignore_the_configured_epsilon() -> None:
    values = {"model_type": "squeezebert", "layer_norm_eps": 1e-5}
    config = EncoderConfig.from_hugging_face(values)
    assert (config.norm_epsilon, config.layer_norm_epsilon) == (1e-5, 1e-12)
    config = EncoderConfig.from_hugging_face({"model_type": "bert", "layer_norm_eps": 1e-5})
    assert (config.norm_epsilon, config.layer_norm_epsilon) == (1e-5, 1e-5)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model_type": "roberta"}, "'roberta'"),
    ({"model_type": None}, "model_type is None"),
    ({"hidden_act": "gelu_10"}, "gelu_10"),
    ({"hidden_act": 3}, "activation 3"),
    ({"position_embedding_type": "relative_key"}, "relative_key"),
    ({"is_decoder": True}, "is_decoder"),
    ({"add_cross_attention": True}, "add_cross_attention"),
    ({"pruned_heads": {"1": [0]}}, "pruned_heads"),
    ({"embedding_size": 128}, "embedding_size 128 differs from hidden_size 768"),
    ({"hidden_size": 512}, "embedding_size 768 differs from hidden_size 512"),
    ({"num_attention_heads": 11}, "not a multiple of num_attention_heads 11"),
    ({"q_groups": 5}, "not a multiple of q_groups 5"),
    ({"v_groups": 0}, "v_groups is 0"),
    ({"output_groups": 7}, "not a multiple of output_groups 7"),
    ({"intermediate_size": 3070}, "intermediate_size 3070 is not a multiple"),
    ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
    ({"hidden_size": "768"}, "hidden_size is '768'"),
    ({"vocab_size": True}, "vocab_size is True"),
    ({"layer_norm_eps": 0}, "layer_norm_eps is 0"),
    ({"layer_norm_eps": "1e-12"}, "layer_norm_eps is '1e-12'"),
    ({"pad_token_id": 30522}, "pad_token_id 30522"),
]


@pytest.mark.parametrize(("change", "cause"), REFUSED)
def test_what_is_refused(change: dict[str, Any], cause: str) -> None:
    with pytest.raises(UserError) as caught:
        EncoderConfig.from_hugging_face({"model_type": "squeezebert", **change})
    assert cause in caught.value.message
    assert caught.value.next_step


def test_fields_set_to_null_take_the_default() -> None:
    values: dict[str, Any] = {"model_type": "bert", "pad_token_id": None, "pruned_heads": {}}
    assert EncoderConfig.from_hugging_face(values).pad_token_id == 0
