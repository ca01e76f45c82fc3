"""What the two layouts of a program have in common: the few steps in which they differ."""

from dataclasses import dataclass
from typing import Any, Protocol

#: The axis of the channels in [1, S, C], which is what lookups and the outputs have.
CHANNELS_OF_ROWS = 2


@dataclass(frozen=True)
class Tokens:
    """The channels of all tokens: a tensor of the program and the axis that holds the channels."""

    tensor: Any
    channels: int


class Layout(Protocol):
    """One way to lay tensors out. ``name`` is what the result of a step is called."""

    def enter(self, rows: Any, name: str) -> Tokens:
        """From [1, S, C]."""
        ...

    def leave(self, tokens: Tokens, name: str) -> Any:
        """To [1, S, C]."""
        ...

    def settle(self, tokens: Tokens) -> Tokens:
        """The order in which tokens are added and normalized."""
        ...

    def operand(self, tokens: Tokens, groups: int) -> Tokens:
        """The order in which a linear layer in ``groups`` reads tokens."""
        ...

    def first(self, tokens: Tokens, name: str) -> Tokens:
        """The first token alone, of settled tokens."""
        ...

    def linear(self, layer: str, tokens: Tokens, groups: int, name: str) -> Tokens:
        """The linear layer of that canonical name, on an ``operand``."""
        ...

    def mask(self, padding: Any, name: str) -> Any:
        """What is added to the scores of every key, from [1, S]."""
        ...

    def attend(self, query: Tokens, key: Tokens, value: Tokens, mask: Any, name: str) -> Tokens:
        """Attention of all heads; the queries are scaled already."""
        ...
