"""The encoder in the form that the XNNPACK delegate is fast at, as a PyTorch module.

The form follows measurements (host, one thread, 128 tokens): each group of a grouped layer is a
product of its own (a grouped convolution costs transpositions around it); attention uses
three-dimensional products (four-dimensional ones are copied by ``expand`` before every product,
7 % of a fp32 SqueezeBERT); a classifier, which reads only the first token, computes only that
token's row of the last layer. LayerNorm stays outside the delegate, which has no such operator:
written out in operators that it has, it took as long.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import nn

from exporter.model.config import Activation, EncoderConfig, SourceModel, Task
from exporter.model.encoder import ACTIVATION_FUNCTIONS
from exporter.targets.executorch.arithmetic import Arithmetic

#: Swallows every score (fp32 has 7 digits), so that a row without any token gets uniform attention,
#: as in PyTorch.
MASKED = -1e30

_PARTS = ("query", "key", "value")


def activation_function(name: Activation) -> Callable[[torch.Tensor], torch.Tensor]:
    """The activation in operators that the delegate takes for what they are.

    XNNPACK's delegate computes every GELU with erf, whatever its argument ``approximate`` says.
    """
    return _tanh_gelu if name == "gelu_new" else ACTIVATION_FUNCTIONS[name]


def _tanh_gelu(block: torch.Tensor) -> torch.Tensor:
    inner = math.sqrt(2 / math.pi) * (block + 0.044715 * (block * block * block))
    return 0.5 * block * (1 + torch.tanh(inner))


def norm_order(config: EncoderConfig, task: Task) -> Iterator[str]:
    """Names of the LayerNorms, such as ``layers.0.attention.norm``, as they follow each other."""
    yield "embeddings.norm"
    for index in range(config.layers):
        yield f"layers.{index}.attention.norm"
        yield f"layers.{index}.feed_forward.norm"
    if task == "masked-lm":
        yield "head.norm"


class GroupedChain(nn.Module):
    """A grouped linear layer as one product a group: prepared blocks in, blocks out."""

    def __init__(self, model: SourceModel, name: str, groups: int, arithmetic: Arithmetic) -> None:
        super().__init__()
        self.name = name
        weight = f"{name}.weight"
        self.operands = nn.ModuleList(
            arithmetic.operand(weight, group, groups) for group in range(groups)
        )
        weights = model.weights[weight].chunk(groups)
        biases = model.weights[f"{name}.bias"].chunk(groups)
        # Copies: the serializer of the delegate writes a tensor's whole storage from its start.
        self.groups = nn.ModuleList(
            arithmetic.linear(weight, rows.clone(), bias.clone(), group)
            for group, (rows, bias) in enumerate(zip(weights, biases, strict=True))
        )

    def prepare(self, blocks: list[torch.Tensor]) -> list[torch.Tensor]:
        """Blocks of the layer's input [1, T, any width], joined and cut into its groups, each as
        its product reads it."""
        groups = len(self.groups)
        if len(blocks) != groups:
            joined = _join(blocks)
            width = joined.shape[-1] // groups
            blocks = [joined[..., i * width : (i + 1) * width] for i in range(groups)]
        return [operand(block) for operand, block in zip(self.operands, blocks, strict=True)]

    def forward(self, blocks: list[torch.Tensor]) -> list[torch.Tensor]:
        """``groups`` prepared blocks [1, T, inputs / groups] -> [1, T, outputs / groups] each."""
        return [group(block) for group, block in zip(self.groups, blocks, strict=True)]


class ChainedLayer(nn.Module):
    """One transformer layer."""

    def __init__(self, model: SourceModel, index: int, arithmetic: Arithmetic) -> None:
        super().__init__()
        self.config = model.config
        counts, name = model.config.groups, f"layers.{index}"
        self.projections = nn.ModuleList(
            GroupedChain(model, f"{name}.attention.{part}", getattr(counts, part), arithmetic)
            for part in _PARTS
        )
        self.post_attention = GroupedChain(
            model, f"{name}.attention.output", counts.post_attention, arithmetic
        )
        self.attention_norm = _norm(model, f"{name}.attention.norm")
        self.intermediate = GroupedChain(
            model, f"{name}.feed_forward.intermediate", counts.intermediate, arithmetic
        )
        self.output = GroupedChain(model, f"{name}.feed_forward.output", counts.output, arithmetic)
        self.output_norm = _norm(model, f"{name}.feed_forward.norm")
        self.activation = activation_function(model.config.activation)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor, first_only: bool) -> torch.Tensor:
        """[1, T, H], [1, 1, T] -> [1, T, H], or with ``first_only`` [1, 1, H]."""
        rows = hidden[:, :1] if first_only else hidden
        context = self._attention(rows, hidden, mask, first_only)
        blocks = self.post_attention.prepare([context])
        hidden = self.attention_norm(_join(self.post_attention(blocks)) + rows)

        blocks = self.intermediate(self.intermediate.prepare([hidden]))
        blocks = self.output.prepare([self.activation(block) for block in blocks])
        return torch.as_tensor(self.output_norm(_join(self.output(blocks)) + hidden))

    def _attention(
        self, rows: torch.Tensor, whole: torch.Tensor, mask: torch.Tensor, first_only: bool
    ) -> torch.Tensor:
        """Queries of ``rows`` over keys and values of ``whole``: [1, Tq, H]."""
        counts = [getattr(self.config.groups, part) for part in _PARTS]
        prepared: dict[int, list[torch.Tensor]] = {}
        projected = []
        for part, (count, projection) in enumerate(zip(counts, self.projections, strict=True)):
            assert isinstance(projection, GroupedChain)
            if part == 0 and first_only:
                projected.append(projection(projection.prepare([rows])))
                continue
            if count not in prepared:  # quantized once for all parts with as many groups
                prepared[count] = projection.prepare([whole])
            projected.append(projection(prepared[count]))
        # Groups that hold whole heads go through attention without being joined.
        if set(counts) != {counts[0]} or self.config.heads % counts[0]:
            projected = [[_join(blocks)] for blocks in projected]
        query, key, value = projected
        return _join(
            [self._attend(q, k, v, mask) for q, k, v in zip(query, key, value, strict=True)]
        )

    def _attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """[1, Tq, C], [1, T, C] twice -> [1, Tq, C]. Heads are the batch of the products."""
        width, size = query.shape[-1], self.config.head_size
        heads = width // size
        query = (query * size**-0.5).view(-1, heads, size).permute(1, 0, 2)
        key = key.view(-1, heads, size).permute(1, 2, 0)
        value = value.view(-1, heads, size).permute(1, 0, 2)
        weights = torch.softmax(torch.bmm(query, key) + mask, dim=-1)
        context = torch.bmm(weights, value).permute(1, 0, 2)
        # Not reshape: it names the length, and then the delegate leaves it to the runtime.
        return context.contiguous().view(1, -1, width)


class MobileEncoder(nn.Module):
    """The whole model for one text: three int64 [1, T] -> the outputs of the task, in order."""

    def __init__(self, model: SourceModel, arithmetic: Arithmetic, masked: float = MASKED) -> None:
        """``masked`` is added to the scores of padding: a number that the precision can hold."""
        super().__init__()
        config = model.config
        self.masked = masked
        self.task: Task = model.task
        self.config = config

        def table(name: str) -> nn.Module:
            weight = f"embeddings.{name}.weight"
            return arithmetic.table(weight, model.weights[weight])

        self.word, self.position, self.token_type = map(table, ("word", "position", "token_type"))
        self.register_buffer("positions", torch.arange(config.max_positions)[None])
        self.embedding_norm = _norm(model, "embeddings.norm")
        self.layers = nn.ModuleList(
            ChainedLayer(model, index, arithmetic) for index in range(config.layers)
        )
        self.head = _Head(model, arithmetic)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        position = self.position(self.get_buffer("positions")[:, : input_ids.shape[1]])
        hidden = self.word(input_ids) + position + self.token_type(token_type_ids)
        hidden = self.embedding_norm(hidden)
        mask = ((1 - attention_mask.to(torch.float32)) * self.masked)[:, None, :]
        last = self.config.layers - 1
        for index, layer in enumerate(self.layers):
            first_only = self.task == "sequence-classification" and index == last
            hidden = layer(hidden, mask, first_only)
        outputs: tuple[torch.Tensor, ...] = self.head(hidden)
        return outputs

    def layers_by_path(self) -> dict[str, tuple[str, int]]:
        """Source's name and group of every product with weights, by its place in this module."""
        found = {
            f"{path}.groups.{group}": (chain.name, group)
            for path, chain in self.named_modules()
            if isinstance(chain, GroupedChain)
            for group in range(len(chain.groups))
        }
        return found | ({"head.decoder": ("head.decoder", 0)} if self.task == "masked-lm" else {})


class _Head(nn.Module):
    """The head of the task, on [1, T, H] (sequence classification: [1, 1, H])."""

    def __init__(self, model: SourceModel, arithmetic: Arithmetic) -> None:
        super().__init__()
        self.task = model.task
        weights = model.weights

        def linear(name: str) -> GroupedChain:
            return GroupedChain(model, f"head.{name}", 1, arithmetic)

        match model.task:
            case "sequence-classification":
                self.pooler, self.classifier = linear("pooler"), linear("classifier")
            case "token-classification" | "question-answering":
                self.classifier = linear("classifier")
            case "masked-lm":
                self.transform = linear("transform")
                self.activation = activation_function(model.config.activation)
                self.norm = _norm(model, "head.norm")
                tied = model.config.tied_decoder
                name = "embeddings.word.weight" if tied else "head.decoder.weight"
                bias = weights["head.decoder.bias"]
                self.decoder_operand = arithmetic.operand(name)
                self.decoder = arithmetic.linear(name, weights[name], bias)
            case "feature-extraction":
                pass

    def forward(self, hidden: torch.Tensor) -> tuple[torch.Tensor, ...]:
        match self.task:
            case "sequence-classification":
                (pooled,) = self.pooler(self.pooler.prepare([hidden]))
                (scores,) = self.classifier([torch.tanh(pooled)])
                return (scores[:, 0],)
            case "token-classification":
                return tuple(self.classifier([hidden]))
            case "question-answering":
                (scores,) = self.classifier([hidden])
                return scores[..., 0], scores[..., 1]
            case "masked-lm":
                (hidden,) = self.transform(self.transform.prepare([hidden]))
                hidden = self.norm(self.activation(hidden))
                return (self.decoder(self.decoder_operand(hidden)),)
            case "feature-extraction":
                return (hidden,)


def _norm(model: SourceModel, name: str) -> nn.LayerNorm:
    inside = name.startswith("layers.")
    config: EncoderConfig = model.config
    epsilon = config.layer_norm_epsilon if inside else config.norm_epsilon
    norm = nn.LayerNorm(config.hidden_size, eps=epsilon)
    state = {part: model.weights[f"{name}.{part}"] for part in ("weight", "bias")}
    norm.load_state_dict(state, assign=True)
    return norm


def _join(blocks: list[torch.Tensor]) -> torch.Tensor:
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=-1)
