"""The plain layout: (1, S, C), with linear layers and attention of all heads in one product.

A linear layer in groups is a convolution, for which channels come before tokens: (1, C, S). Its
result stays in this order for as long as nobody needs the other.
"""

from typing import Any

from coremltools.converters.mil import Builder

from exporter.targets.coreml.layout import CHANNELS_OF_ROWS, Tokens
from exporter.targets.coreml.weights import Weights

_PLAIN, _FIRST = CHANNELS_OF_ROWS, 1


class SequenceLayout:
    """See ``exporter.targets.coreml.layout.Layout``."""

    def __init__(self, weights: Weights, heads: int) -> None:
        self._weights = weights
        self._heads = heads
        #: The other order of tensors, by their names.
        self._turned: dict[str, Tokens] = {}

    def enter(self, rows: Any, name: str) -> Tokens:
        del name
        return Tokens(rows, _PLAIN)

    def leave(self, tokens: Tokens, name: str) -> Any:
        del name
        return self.settle(tokens).tensor

    def settle(self, tokens: Tokens) -> Tokens:
        return self._ordered(tokens, _PLAIN)

    def operand(self, tokens: Tokens, groups: int) -> Tokens:
        return self._ordered(tokens, _PLAIN if groups == 1 else _FIRST)

    def first(self, tokens: Tokens, name: str) -> Tokens:
        first = Builder.slice_by_index(
            x=tokens.tensor,
            begin=[0, 0, 0],
            end=[0, 1, 0],
            begin_mask=[True, False, True],
            end_mask=[True, False, True],
            name=name,
        )
        return Tokens(first, _PLAIN)

    def linear(self, layer: str, tokens: Tokens, groups: int, name: str) -> Tokens:
        bias = self._weights.vector(f"{layer}.bias")
        if groups == 1:
            matrix = self._weights.matrix(f"{layer}.weight")
            product = Builder.linear(x=tokens.tensor, weight=matrix, bias=bias, name=name)
            return Tokens(product, _PLAIN)
        product = Builder.conv(
            x=tokens.tensor,
            weight=self._weights.matrix(f"{layer}.weight", kernel=1),
            bias=bias,
            groups=groups,
            pad_type="valid",
            name=name,
        )
        return Tokens(product, _FIRST)

    def mask(self, padding: Any, name: str) -> Any:
        return Builder.expand_dims(x=padding, axes=[1, 2], name=name)

    def attend(self, query: Tokens, key: Tokens, value: Tokens, mask: Any, name: str) -> Tokens:
        # Heads are (1, heads, Q, c), or from channels first (1, heads, c, Q): products take both.
        scores = Builder.matmul(
            x=self._split(query, f"{name}_query"),
            y=self._split(key, f"{name}_key"),
            transpose_x=query.channels == _FIRST,
            transpose_y=key.channels == _PLAIN,
            name=f"{name}_products",
        )
        scores = Builder.add(x=scores, y=mask, name=f"{name}_scores")
        context = Builder.matmul(
            x=Builder.softmax(x=scores, axis=-1, name=f"{name}_weights"),
            y=self._split(value, f"{name}_value"),
            transpose_x=False,
            transpose_y=value.channels == _FIRST,
            name=f"{name}_context",
        )
        turned = Builder.transpose(x=context, perm=[0, 2, 1, 3], name=f"{name}_tokens")
        width = self._heads * context.shape[3]
        return Tokens(Builder.reshape(x=turned, shape=[1, -1, width], name=name), _PLAIN)

    def _split(self, tokens: Tokens, name: str) -> Any:
        """(1, heads, S, c), or from channels first (1, heads, c, S)."""
        size = tokens.tensor.shape[tokens.channels] // self._heads
        if tokens.channels == _FIRST:
            return Builder.reshape(x=tokens.tensor, shape=[1, self._heads, size, -1], name=name)
        parts = Builder.reshape(
            x=tokens.tensor, shape=[1, -1, self._heads, size], name=f"{name}_parts"
        )
        return Builder.transpose(x=parts, perm=[0, 2, 1, 3], name=name)

    def _ordered(self, tokens: Tokens, channels: int) -> Tokens:
        """The same tokens with their channels on that axis; a tensor is turned only once."""
        if tokens.channels == channels:
            return tokens
        name = tokens.tensor.name
        if name not in self._turned:
            turned = Builder.transpose(x=tokens.tensor, perm=[0, 2, 1], name=f"{name}_turned")
            self._turned[name] = Tokens(turned, channels)
        return self._turned[name]
