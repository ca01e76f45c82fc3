"""The layout that the Neural Engine is made for: (1, C, 1, S).

Channels lie on the second axis and tokens on the last; linear layers are 1x1 convolutions, groups
their groups; attention goes head by head, so that no tensor is transposed but the keys. The form is
that of Apple's ml-ane-transformers ("Deploying Transformers on the Apple Neural Engine").
"""

from dataclasses import dataclass
from typing import Any

from coremltools.converters.mil import Builder

from exporter.targets.coreml.layout import Tokens
from exporter.targets.coreml.weights import Weights

_CHANNELS = 1
#: Keys (1, S, 1, c) by queries (1, c, 1, Q), and values (1, c, 1, S) by weights (1, S, 1, Q): the
#: one equation that Core ML's einsum takes, whatever its letters.
_PRODUCT = "abcd,adce->abce"


@dataclass(frozen=True)
class NeuralEngineLayout:
    """See ``exporter.targets.coreml.layout.Layout``."""

    weights: Weights
    heads: int

    def enter(self, rows: Any, name: str) -> Tokens:
        turned = Builder.transpose(x=rows, perm=[0, 2, 1], name=f"{name}_turned")
        return Tokens(Builder.expand_dims(x=turned, axes=[2], name=name), _CHANNELS)

    def leave(self, tokens: Tokens, name: str) -> Any:
        flat = Builder.squeeze(x=tokens.tensor, axes=[2], name=f"{name}_flat")
        return Builder.transpose(x=flat, perm=[0, 2, 1], name=name)

    def settle(self, tokens: Tokens) -> Tokens:
        return tokens

    def operand(self, tokens: Tokens, groups: int) -> Tokens:
        del groups
        return tokens

    def first(self, tokens: Tokens, name: str) -> Tokens:
        first = Builder.slice_by_index(
            x=tokens.tensor,
            begin=[0, 0, 0, 0],
            end=[0, 0, 0, 1],
            begin_mask=[True, True, True, False],
            end_mask=[True, True, True, False],
            name=name,
        )
        return Tokens(first, _CHANNELS)

    def linear(self, layer: str, tokens: Tokens, groups: int, name: str) -> Tokens:
        product = Builder.conv(
            x=tokens.tensor,
            weight=self.weights.matrix(f"{layer}.weight", kernel=2),
            bias=self.weights.vector(f"{layer}.bias"),
            groups=groups,
            pad_type="valid",
            name=name,
        )
        return Tokens(product, _CHANNELS)

    def mask(self, padding: Any, name: str) -> Any:
        return Builder.expand_dims(x=padding, axes=[2, 3], name=name)

    def attend(self, query: Tokens, key: Tokens, value: Tokens, mask: Any, name: str) -> Tokens:
        turned = Builder.transpose(x=key.tensor, perm=[0, 3, 2, 1], name=f"{name}_keys")
        queries = self._split(query.tensor, _CHANNELS, f"{name}_query")
        keys = self._split(turned, 3, f"{name}_key")
        values = self._split(value.tensor, _CHANNELS, f"{name}_value")
        contexts = []
        for head, parts in enumerate(zip(queries, keys, values, strict=True)):
            contexts.append(_attend(*parts, mask, f"{name}_{head}"))
        if self.heads == 1:
            return Tokens(contexts[0], _CHANNELS)
        return Tokens(Builder.concat(values=contexts, axis=_CHANNELS, name=name), _CHANNELS)

    def _split(self, tensor: Any, axis: int, name: str) -> tuple[Any, ...]:
        if self.heads == 1:
            return (tensor,)
        return tuple(Builder.split(x=tensor, num_splits=self.heads, axis=axis, name=name))


def _attend(query: Any, key: Any, value: Any, mask: Any, name: str) -> Any:
    """(1, c, 1, Q), (1, S, 1, c), (1, c, 1, S), (1, S, 1, 1) -> (1, c, 1, Q)."""
    scores = Builder.einsum(values=(key, query), equation=_PRODUCT, name=f"{name}_products")
    scores = Builder.add(x=scores, y=mask, name=f"{name}_scores")
    weights = Builder.softmax(x=scores, axis=1, name=f"{name}_weights")
    return Builder.einsum(values=(value, weights), equation=_PRODUCT, name=f"{name}_context")
