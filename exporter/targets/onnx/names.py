"""How the weights of the source are called inside an ONNX graph, and how they are read back.

A weight is stored under its canonical name, with ``/group_N`` (counted from 0) where a grouped
layer is cut into its groups, and the name of a part where it is quantized: levels are ``/int8``,
``/int4`` or ``/packed`` (two of four bits in a byte), and what they are worth is ``/scale`` and
``/multiplier`` (of a block). Nothing else in a graph has a name that ends in one of these.
"""

import re
from dataclasses import dataclass

_WEIGHT = re.compile(
    r"(?P<name>(?:embeddings|layers|head)\.[a-z0-9_.]+\.(?:weight|bias))"
    r"(?:/group_(?P<group>\d+))?(?:/(?P<part>int8|int4|packed|scale|multiplier))?"
)


#: Parts that say what levels are worth.
WORTH = ("scale", "multiplier")


@dataclass(frozen=True)
class StoredName:
    """A constant that holds a weight: which one, which group of it, and which part."""

    name: str
    group: int | None
    part: str

    @property
    def text(self) -> str:
        """The name inside the graph."""
        group = "" if self.group is None else f"/group_{self.group}"
        return f"{self.name}{group}" + (f"/{self.part}" if self.part else "")


def parse(text: str) -> StoredName | None:
    """The weight that a constant holds, or None for a constant that is no weight."""
    match = _WEIGHT.fullmatch(text)
    if match is None:
        return None
    group = match["group"]
    return StoredName(match["name"], None if group is None else int(group), match["part"] or "")
