"""The weight map: every tensor is used, listed as ignored, or refused."""

from collections.abc import Callable

import pytest
import torch
import transformers

from exporter.errors import UserError
from exporter.model.config import FAMILIES, TASKS, EncoderConfig, Family, SourceModel, Task
from exporter.model.encoder import build_module
from exporter.model.random import sensitised_weights
from exporter.model.weights import (
    ENCODER_PREFIXES,
    from_hugging_face,
    hugging_face_names,
    to_hugging_face,
    weight_shapes,
)

from .conftest import SmallConfig, make_batch

State = dict[str, torch.Tensor]


def make_state(config: EncoderConfig, task: Task = "sequence-classification") -> State:
    """A checkpoint's tensors under Hugging Face's names."""
    return to_hugging_face(sensitised_weights(config, task, 3, seed=1), config, task)


def refused(state: State, config: EncoderConfig, task: Task = "sequence-classification") -> str:
    with pytest.raises(UserError) as caught:
        from_hugging_face(state, config, task)
    assert caught.value.next_step
    return str(caught.value)


def test_canonical_names(small_config: SmallConfig) -> None:
    """These names are a contract with the targets."""
    config = small_config(layers=1)
    linear = [
        "attention.query",
        "attention.key",
        "attention.value",
        "attention.output",
        "attention.norm",
        "feed_forward.intermediate",
        "feed_forward.output",
        "feed_forward.norm",
    ]
    modules = [f"layers.0.{name}" for name in linear]
    body = {
        *(f"embeddings.{name}.weight" for name in ("word", "position", "token_type", "norm")),
        "embeddings.norm.bias",
        *(f"{name}.{part}" for name in modules for part in ("weight", "bias")),
    }
    heads: dict[Task, set[str]] = {
        "feature-extraction": set(),
        "sequence-classification": {
            "head.pooler.weight",
            "head.pooler.bias",
            "head.classifier.weight",
            "head.classifier.bias",
        },
        "token-classification": {"head.classifier.weight", "head.classifier.bias"},
        "question-answering": {"head.classifier.weight", "head.classifier.bias"},
        "masked-lm": {
            "head.transform.weight",
            "head.transform.bias",
            "head.norm.weight",
            "head.norm.bias",
            "head.decoder.bias",
        },
    }
    for task in TASKS:
        assert weight_shapes(config, task, 3).keys() == body | heads[task]
    shapes = weight_shapes(config, "question-answering", 0)
    assert shapes["layers.0.feed_forward.intermediate.weight"] == (96, 12)
    assert shapes["head.classifier.weight"] == (2, 48)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_round_trip(family: Family, task: Task, tied: bool, small_config: SmallConfig) -> None:
    config = small_config(family, tied_decoder=tied)
    weights = sensitised_weights(config, task, 3, seed=1)
    found, ignored = from_hugging_face(to_hugging_face(weights, config, task), config, task)
    assert ignored == ()
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_reads_what_transformers_writes(
    family: Family, task: Task, small_config: SmallConfig
) -> None:
    """A model that transformers made, with its own names: the outputs are the same."""
    config = small_config(family)
    values = config.to_hugging_face(task, ("a", "b"))
    model_class = getattr(transformers, values["architectures"][0])
    torch.manual_seed(0)
    theirs = model_class(model_class.config_class(**values, attn_implementation="eager")).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    weights, _ = from_hugging_face(theirs.state_dict(), config, task)
    labels = ("a", "b") if task.endswith("classification") else None
    ours = build_module(SourceModel(config, task, labels, weights))
    ids, mask, types = make_batch(3, 9)
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=mask, token_type_ids=types)
    for name, output in ours(ids, mask, types).items():
        torch.testing.assert_close(output, expected[name], atol=1e-5, rtol=0)


@pytest.mark.parametrize("task", ["masked-lm", "feature-extraction"])
def test_original_bert_checkpoint(task: Task, small_config: SmallConfig) -> None:
    """As bert-base-uncased: pre-training heads, gamma and beta, and a stored buffer."""
    config = small_config("bert")
    values = config.to_hugging_face("masked-lm")
    settings = transformers.BertConfig(**values, attn_implementation="eager")
    theirs = transformers.BertForPreTraining(settings).eval()
    state = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in theirs.state_dict().items()
        if name not in ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
    }
    state["bert.embeddings.position_ids"] = torch.arange(40)[None]
    weights, ignored = from_hugging_face(state, config, task)
    unused = {"bert.embeddings.position_ids", "bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    unused |= {"cls.seq_relationship.weight", "cls.seq_relationship.bias"}
    if task == "feature-extraction":
        unused |= {name for name in state if name.startswith("cls.predictions.")}
    assert set(ignored) == unused
    ids, mask, types = make_batch(3, 9)
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=mask, token_type_ids=types)
        hidden = theirs.bert(input_ids=ids, attention_mask=mask, token_type_ids=types)[0]
    ours = build_module(SourceModel(config, task, None, weights))(ids, mask, types)
    if task == "masked-lm":
        torch.testing.assert_close(ours["logits"], expected.prediction_logits, atol=1e-5, rtol=0)
    else:
        torch.testing.assert_close(ours["last_hidden_state"], hidden, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_headless_checkpoint_without_prefix(family: Family, small_config: SmallConfig) -> None:
    config = small_config(family)
    with_head = make_state(config)
    prefix = ENCODER_PREFIXES[family]
    headless = {n.removeprefix(prefix): t for n, t in with_head.items() if n.startswith(prefix)}
    found, ignored = from_hugging_face(headless, config, "feature-extraction")
    expected, _ = from_hugging_face(with_head, config, "feature-extraction")
    assert ignored == ("pooler.dense.bias", "pooler.dense.weight")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_fp32(dtype: torch.dtype, small_config: SmallConfig) -> None:
    config = small_config()
    state = {name: tensor.to(dtype) for name, tensor in make_state(config).items()}
    weights, _ = from_hugging_face(state, config, "sequence-classification")
    names = hugging_face_names(config, "sequence-classification")
    assert all(w.dtype == torch.float32 and w.is_contiguous() for w in weights.values())
    name = "layers.0.attention.query.weight"
    original = state["transformer." + names[name]].to(torch.float32).squeeze(-1)
    assert torch.equal(weights[name], original)


def test_missing_tensor(small_config: SmallConfig) -> None:
    config = small_config()
    state = make_state(config)
    del state["transformer.encoder.layers.1.post_attention.conv1d.bias"]
    assert "encoder.layers.1.post_attention.conv1d.bias" in refused(state, config)


def test_unexplained_tensor(small_config: SmallConfig) -> None:
    state = make_state(small_config(layers=3))
    message = refused(state, small_config(layers=2))
    assert "16 tensors" in message
    assert "transformer.encoder.layers.2.attention.query.weight" in message


@pytest.mark.parametrize(
    ("name", "change", "shapes"),
    [
        ("transformer.embeddings.word_embeddings.weight", lambda t: t[:-1], "[100, 48]"),
        ("transformer.encoder.layers.0.attention.key.weight", lambda t: t[:, :6], "[48, 6, 1]"),
        ("transformer.encoder.layers.0.output.layernorm.bias", lambda t: t[None], "[1, 48]"),
        ("classifier.bias", lambda t: t[:2], "[2]"),
    ],
)
def test_wrong_shape(
    name: str,
    change: Callable[[torch.Tensor], torch.Tensor],
    shapes: str,
    small_config: SmallConfig,
) -> None:
    config = small_config()
    state = make_state(config)
    state[name] = change(state[name])
    message = refused(state, config)
    assert name in message
    assert shapes in message


def test_wrong_group_counts_are_a_wrong_shape(small_config: SmallConfig) -> None:
    state = make_state(small_config("squeezebert"))
    config = EncoderConfig.from_hugging_face(
        {**small_config().to_hugging_face("sequence-classification"), "q_groups": 2}
    )
    message = refused(state, config)
    assert "[48, 12, 1]" in message
    assert "[48, 24]" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(value: float, small_config: SmallConfig) -> None:
    config = small_config("bert")
    state = make_state(config)
    name = "bert.encoder.layer.2.output.dense.weight"
    state[name] = state[name].clone()
    state[name][3, 5] = value
    assert name in refused(state, config)


def test_integer_weights(small_config: SmallConfig) -> None:
    config = small_config("bert")
    state = make_state(config)
    name = "bert.encoder.layer.2.output.dense.weight"
    state[name] = state[name].to(torch.int8)
    assert "int8" in refused(state, config)


@pytest.mark.parametrize("task", ["sequence-classification", "question-answering", "masked-lm"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_is_never_invented(family: Family, task: Task, small_config: SmallConfig) -> None:
    config = small_config(family)
    message = refused(make_state(config, "feature-extraction"), config, task)
    assert f"no head for {task}" in message
    assert "--task feature-extraction" in message


def test_the_same_tensor_twice(small_config: SmallConfig) -> None:
    config = small_config("bert")
    state = make_state(config)
    state["bert.embeddings.LayerNorm.gamma"] = state["bert.embeddings.LayerNorm.weight"]
    assert "bert.embeddings.LayerNorm.gamma" in refused(state, config)


def test_question_answering_needs_two_outputs(small_config: SmallConfig) -> None:
    config = small_config()
    state = make_state(config, "question-answering")
    state["qa_outputs.weight"] = torch.zeros(3, 48)
    assert "qa_outputs.weight has shape [3, 48]" in refused(state, config, "question-answering")


class TestTiedDecoder:
    """A shared weight may be stored under either name or under both."""

    word = "bert.embeddings.word_embeddings.weight"
    decoder = "cls.predictions.decoder.weight"

    def test_both_copies(self, small_config: SmallConfig) -> None:
        config = small_config("bert")
        state = make_state(config, "masked-lm")
        state[self.decoder] = state[self.word].clone()
        weights, ignored = from_hugging_face(state, config, "masked-lm")
        assert "head.decoder.weight" not in weights
        assert ignored == ()

    def test_only_the_decoder(self, small_config: SmallConfig) -> None:
        config = small_config("bert")
        state = make_state(config, "masked-lm")
        state[self.decoder] = state.pop(self.word)
        weights, _ = from_hugging_face(state, config, "masked-lm")
        assert torch.equal(weights["embeddings.word.weight"], state[self.decoder])

    def test_copies_that_differ(self, small_config: SmallConfig) -> None:
        config = small_config("bert")
        state = make_state(config, "masked-lm")
        state[self.decoder] = state[self.word] + 1
        message = refused(state, config, "masked-lm")
        assert self.decoder in message
        assert "tie_word_embeddings" in message
