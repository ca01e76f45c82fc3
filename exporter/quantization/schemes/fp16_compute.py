"""fp16 throughout: all weights are stored as fp16, the result of every operator is rounded to it.

Inside an operator (a product with its bias, a LayerNorm, a softmax) the arithmetic is exact, which
no processor promises: phones differ in how they accumulate fp16 products. The scheme is the program
that the artifact holds; what a phone makes of it is for the phone to show.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from exporter.model.config import SourceModel
from exporter.model.encoder import (
    ACTIVATION_FUNCTIONS,
    Attention,
    EncoderModel,
    FeedForward,
    build_module,
)
from exporter.quantization.reference import Reference
from exporter.quantization.rounding import round_to_fp16
from exporter.quantization.schemes import Scheme
from exporter.quantization.tolerance import LayerTolerance

#: A mask in fp16 swallows scores of at most 16, and trained models have larger ones: on a MiniLM a
#: row without any token is off by 5e-2.
EMPTY_ROWS = False

#: Added to the scores of padding. The lowest fp32 number becomes infinity in fp16, and 0 times that
#: is NaN. Here fp16 has steps of 32: this swallows every score of at most 16 (a row without any
#: token gets uniform attention, as in PyTorch), and no score below 16000 takes it out of range.
MASKED = -49152.0


#: The smallest fp16 number above 0: an epsilon of 1e-12 would be none.
_SMALLEST = 2.0**-24


def round_weights(model: SourceModel) -> SourceModel:
    """Every weight, vectors too, and the epsilons of the LayerNorms, rounded to fp16 values.

    UserError for a weight beyond fp16's range.
    """
    weights = {
        name: torch.from_numpy(round_to_fp16(name, tensor.numpy()))
        for name, tensor in model.weights.items()
    }
    config = replace(
        model.config,
        norm_epsilon=_round_epsilon(model.config.norm_epsilon),
        layer_norm_epsilon=_round_epsilon(model.config.layer_norm_epsilon),
    )
    return replace(model, config=config, weights=weights)


def _round_epsilon(epsilon: float) -> float:
    return max(float(np.float16(epsilon)), _SMALLEST)


@dataclass(frozen=True)
class _HalfReference(Reference):
    """The encoder, written out operator by operator to round after each."""

    def embed(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor) -> torch.Tensor:
        tables = self.module.embeddings
        position = tables.position.weight[: input_ids.shape[1]]
        hidden = _round(tables.word(input_ids) + position)
        return _round(tables.norm(_round(hidden + tables.token_type(token_type_ids))))

    def layer(
        self, index: int, hidden: torch.Tensor, attention_mask: torch.Tensor, first_only: bool
    ) -> torch.Tensor:
        layer = self.module.layers[index]
        bias = ((1 - attention_mask.float()) * MASKED)[:, None, None, :]
        hidden = _attend(layer.get_submodule("attention"), hidden, bias, first_only)
        return _feed_forward(self.module, layer.get_submodule("feed_forward"), hidden)

    def head(self, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
        head = self.module.head
        match self.module.task:
            case "sequence-classification":
                pooled = _round(_round(head.get_submodule("pooler")(hidden[:, 0])).tanh())
                return {"logits": _round(head.get_submodule("classifier")(pooled))}
            case "masked-lm":
                return {"logits": _decode(self.module, hidden)}
        # One product at most.
        return {name: _round(value) for name, value in self.module.head(hidden).items()}


def _attend(
    attention: torch.nn.Module, hidden: torch.Tensor, bias: torch.Tensor, first_only: bool
) -> torch.Tensor:
    """[B, T, H], [B, 1, 1, T] -> [B, T, H] or [B, 1, H]. Queries are scaled before the product."""
    assert isinstance(attention, Attention)
    rows = hidden[:, :1] if first_only else hidden
    scale = float(np.float16(attention.head_size**-0.5))
    query = attention._split(_round(_round(attention.query(rows)) * scale))
    key, value = (
        attention._split(_round(layer(hidden))) for layer in (attention.key, attention.value)
    )
    scores = _round(_round(query @ key.transpose(-1, -2)) + bias)
    context = _round(_round(scores.softmax(dim=-1)) @ value).transpose(1, 2).flatten(-2)
    return _round(attention.norm(_round(_round(attention.output(context)) + rows)))


def _feed_forward(
    module: EncoderModel, layer: torch.nn.Module, hidden: torch.Tensor
) -> torch.Tensor:
    assert isinstance(layer, FeedForward)
    inner = _activate(module, _round(layer.intermediate(hidden)))
    return _round(layer.norm(_round(_round(layer.output(inner)) + hidden)))


def _decode(module: EncoderModel, hidden: torch.Tensor) -> torch.Tensor:
    head = module.head
    hidden = _activate(module, _round(head.get_submodule("transform")(hidden)))
    hidden = _round(head.get_submodule("norm")(hidden))
    decoder = head.get_submodule("decoder")
    tied = module.config.tied_decoder
    weight = module.embeddings.word.weight if tied else decoder.get_parameter("weight")
    return _round(torch.nn.functional.linear(hidden, weight, decoder.get_parameter("bias")))


def _activate(module: EncoderModel, block: torch.Tensor) -> torch.Tensor:
    """The activation: one operator, but for GELU's tanh form, which artifacts write out."""
    if module.config.activation != "gelu_new":
        return _round(ACTIVATION_FUNCTIONS[module.config.activation](block))
    inner = _round(_round(_round(block * block) * block) * float(np.float16(0.044715)))
    inner = _round(_round(block + inner) * float(np.float16(math.sqrt(2 / math.pi))))
    return _round(_round(0.5 * block) * _round(1 + _round(torch.tanh(inner))))


def _round(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half().float()


def half_reference(model: SourceModel) -> Reference:
    """The model computed in fp16, on its weights rounded to fp16.

    Weights that already are fp16 values, such as those of compressed matrices, stay as they are.
    """
    return _HalfReference(build_module(round_weights(model)))


#: Where PyTorch's fp32 sums differ in the last bit, a value may round to the neighbour. Measured on
#: sensitised weights, 1 to 12 layers, hidden size 64 to 768: healthy artifacts 2e-5 (typical) and
#: 4e-4 (worst, one token). GELU's tanh form in one layer: 3e-4 (typical); activations not
#: rounded: 4e-4; epsilon 1e-5 in one LayerNorm: 9e-4; queries and keys swapped: 0.1; a mask ignored
#: in one layer: 0.16 (worst).
_LAYER_TOLERANCE = LayerTolerance(typical=1e-4, worst=1e-3)

#: At most 3e-3 measured on 4 layers of sensitised weights, 4e-3 on 12 seeded layers of 768
#: channels, 1e-3 on texts through trained models.
_OUTPUT_TOLERANCE = 1e-2

SCHEME = Scheme(
    "fp16_compute",
    16,
    round_weights,
    half_reference,
    _LAYER_TOLERANCE,
    _OUTPUT_TOLERANCE,
    empty_rows=EMPTY_ROWS,
)
