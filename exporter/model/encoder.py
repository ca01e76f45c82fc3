"""One encoder for SqueezeBERT and BERT (one group everywhere), with the head of any task.

The computation is that of transformers' ``modeling_squeezebert.py`` and ``modeling_bert.py`` in
evaluation mode: post-LayerNorm transformer layers, absolute positions, no dropout.
"""

from collections.abc import Callable

import torch
from torch import nn

from exporter.model.config import Activation, EncoderConfig, SourceModel, Task
from exporter.model.layers import GroupedLinear

ACTIVATION_FUNCTIONS: dict[Activation, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": nn.functional.gelu,
    "gelu_new": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "relu": nn.functional.relu,
    "silu": nn.functional.silu,
}


class Embeddings(nn.Module):
    """Sum of word, position and token type embeddings, normalized."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position = nn.Embedding(config.max_positions, config.hidden_size)
        self.token_type = nn.Embedding(config.token_types, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_epsilon)

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor) -> torch.Tensor:
        """[B, T] int64, [B, T] int64 -> [B, T, H]. Positions count from 0, padding included."""
        position = self.position.weight[: input_ids.shape[1]]
        hidden = self.word(input_ids) + position + self.token_type(token_type_ids)
        return torch.as_tensor(self.norm(hidden))


class AttentionProducts(nn.Module):
    """The two products of attention, which have no weights."""

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask_bias: torch.Tensor,
    ) -> torch.Tensor:
        """[B, heads, Q, D], twice [B, heads, T, D], [B, 1, 1, T] -> [B, heads, Q, D]."""
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + mask_bias
        return torch.as_tensor(scores.softmax(dim=-1) @ value)


class Attention(nn.Module):
    """Multi-head self-attention with its projection ("post-attention"), residual and LayerNorm."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size, groups = config.hidden_size, config.groups
        self.heads, self.head_size = config.heads, config.head_size
        self.query = GroupedLinear(size, size, groups.query)
        self.key = GroupedLinear(size, size, groups.key)
        self.value = GroupedLinear(size, size, groups.value)
        self.products: nn.Module = AttentionProducts()
        self.output = GroupedLinear(size, size, groups.post_attention)
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_epsilon)

    def _split(self, projected: torch.Tensor) -> torch.Tensor:
        """[B, T, H] -> [B, heads, T, head size]."""
        batch, length, _ = projected.shape
        return projected.reshape(batch, length, self.heads, self.head_size).transpose(1, 2)

    def forward(
        self, hidden: torch.Tensor, mask_bias: torch.Tensor, first_only: bool = False
    ) -> torch.Tensor:
        """[B, T, H], [B, 1, 1, T] -> [B, T, H], or with ``first_only`` [B, 1, H]."""
        query, key, value = (
            self._split(layer(hidden)) for layer in (self.query, self.key, self.value)
        )
        if first_only:
            query, hidden = query[:, :, :1], hidden[:, :1]
        context = self.products(query, key, value, mask_bias).transpose(1, 2).flatten(-2)
        return torch.as_tensor(self.norm(self.output(context) + hidden))


class FeedForward(nn.Module):
    """Two linear layers around the activation, with residual and LayerNorm."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size, inner, groups = config.hidden_size, config.intermediate_size, config.groups
        self.intermediate = GroupedLinear(size, inner, groups.intermediate)
        self.activation = ACTIVATION_FUNCTIONS[config.activation]
        self.output = GroupedLinear(inner, size, groups.output)
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_epsilon)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[B, T, H] -> [B, T, H]."""
        inner = self.activation(self.intermediate(hidden))
        return torch.as_tensor(self.norm(self.output(inner) + hidden))


class Layer(nn.Module):
    """One transformer layer."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config)

    def forward(
        self, hidden: torch.Tensor, mask_bias: torch.Tensor, first_only: bool = False
    ) -> torch.Tensor:
        """[B, T, H], [B, 1, 1, T] -> [B, T, H], or with ``first_only`` [B, 1, H]."""
        return torch.as_tensor(self.feed_forward(self.attention(hidden, mask_bias, first_only)))


class FirstTokenClassifier(nn.Module):
    """Head of sequence classification: tanh pooler on the first token, then a linear layer."""

    def __init__(self, config: EncoderConfig, label_count: int) -> None:
        super().__init__()
        self.pooler = GroupedLinear(config.hidden_size, config.hidden_size)
        self.classifier = GroupedLinear(config.hidden_size, label_count)

    def forward(self, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
        """[B, T, H] -> logits [B, labels]."""
        return {"logits": self.classifier(self.pooler(hidden[:, 0]).tanh())}


class TokenClassifier(nn.Module):
    """Head of token classification: a linear layer on every token."""

    def __init__(self, config: EncoderConfig, label_count: int) -> None:
        super().__init__()
        self.classifier = GroupedLinear(config.hidden_size, label_count)

    def forward(self, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
        """[B, T, H] -> logits [B, T, labels]."""
        return {"logits": self.classifier(hidden)}


class SpanClassifier(nn.Module):
    """Head of question answering: scores of every token as the answer's start and end."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.classifier = GroupedLinear(config.hidden_size, 2)

    def forward(self, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
        """[B, T, H] -> start_logits [B, T], end_logits [B, T]."""
        scores = self.classifier(hidden)
        return {"start_logits": scores[..., 0], "end_logits": scores[..., 1]}


class MaskedLanguageModel(nn.Module):
    """Head of masked language modelling: transform, activation, LayerNorm, decoder.

    A tied decoder has no weight of its own and uses that of ``word``.
    """

    def __init__(self, config: EncoderConfig, word: nn.Embedding) -> None:
        super().__init__()
        self.transform = GroupedLinear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATION_FUNCTIONS[config.activation]
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_epsilon)
        self.decoder = GroupedLinear(config.hidden_size, config.vocab_size)
        if config.tied_decoder:
            self.decoder.register_parameter("weight", None)
        # In a tuple, so that the embedding is not registered a second time as part of the head.
        self._word = (word,)

    def forward(self, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
        """[B, T, H] -> logits [B, T, V]."""
        (word,) = self._word
        own: torch.Tensor | None = self.decoder.weight
        hidden = self.norm(self.activation(self.transform(hidden)))
        weight = word.weight if own is None else own
        return {"logits": nn.functional.linear(hidden, weight, self.decoder.bias)}


class NoHead(nn.Module):
    """Feature extraction: the encoder's output as it is."""

    def forward(self, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
        """[B, T, H] -> last_hidden_state [B, T, H]."""
        return {"last_hidden_state": hidden}


class EncoderModel(nn.Module):
    """The encoder with the head of ``task``; ``state_dict`` has the project's canonical names.

    ``label_count`` counts the classes of the two classification tasks; the others ignore it.
    Weights are uninitialized until loaded. ``forward`` is ``embed``, then ``layer`` for every
    layer, then ``head``.
    """

    def __init__(self, config: EncoderConfig, task: Task, label_count: int = 0) -> None:
        super().__init__()
        self.config, self.task = config, task
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.head = _head(config, task, label_count, self.embeddings.word)

    def embed(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor) -> torch.Tensor:
        """Input ids and token types, both [B, T] int64 -> embeddings [B, T, H]."""
        return torch.as_tensor(self.embeddings(input_ids, token_type_ids))

    def mask_bias(self, attention_mask: torch.Tensor) -> torch.Tensor:
        """[B, T] with 1 for tokens and 0 for padding -> [B, 1, 1, T] to be added to the scores.

        Padding gets the lowest fp32, not -inf: in a row without any token all scores are then
        equal and attention is uniform, as in transformers' eager attention, instead of NaN.
        """
        lowest = torch.finfo(self.embeddings.word.weight.dtype).min
        bias = torch.zeros_like(attention_mask, dtype=self.embeddings.word.weight.dtype)
        return bias.masked_fill(attention_mask == 0, lowest)[:, None, None, :]

    def layer(
        self,
        index: int,
        hidden: torch.Tensor,
        mask_bias: torch.Tensor,
        first_only: bool = False,
    ) -> torch.Tensor:
        """Layer ``index``: [B, T, H], [B, 1, 1, T] -> [B, T, H].

        ``first_only`` gives only the first token's row, [B, 1, H], which is all that sequence
        classification reads of the last layer.
        """
        return torch.as_tensor(self.layers[index](hidden, mask_bias, first_only))

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Three [B, T] int64 tensors -> the outputs of the task by name.

        ``logits`` [B, labels], [B, T, labels] or [B, T, V]; ``start_logits`` and ``end_logits``
        [B, T]; ``last_hidden_state`` [B, T, H].
        """
        mask_bias = self.mask_bias(attention_mask)
        hidden = self.embed(input_ids, token_type_ids)
        for index in range(self.config.layers):
            hidden = self.layer(index, hidden, mask_bias)
        outputs: dict[str, torch.Tensor] = self.head(hidden)
        return outputs


def build_module(source: SourceModel) -> EncoderModel:
    """The model with its weights, in evaluation mode and without gradients.

    The weights are shared with ``source``, not copied. Raises RuntimeError when the weights are
    not exactly those of the configuration (``weights.from_hugging_face`` makes sure of it).
    """
    with torch.device("meta"):
        module = EncoderModel(source.config, source.task, len(source.labels or ()))
    module.load_state_dict(dict(source.weights), strict=True, assign=True)
    return module.eval().requires_grad_(False)


def _head(config: EncoderConfig, task: Task, label_count: int, word: nn.Embedding) -> nn.Module:
    match task:
        case "sequence-classification":
            return FirstTokenClassifier(config, label_count)
        case "token-classification":
            return TokenClassifier(config, label_count)
        case "question-answering":
            return SpanClassifier(config)
        case "masked-lm":
            return MaskedLanguageModel(config, word)
        case "feature-extraction":
            return NoHead()
