"""How the weights of the source are called inside an ONNX graph, and how they are read back.

A weight is stored under its canonical name, with ``/group_N`` (counted from 0) where a grouped
layer is cut into its groups, and ``/int8`` or ``/scale`` where it is quantized. Nothing else in a
graph starts with the name of a part of the model.
"""

import re
from dataclasses import dataclass

_WEIGHT = re.compile(
    r"(?P<name>(?:embeddings|layers|head)\.[a-z0-9_.]+\.(?:weight|bias))"
    r"(?:/group_(?P<group>\d+))?(?:/(?P<part>int8|scale))?"
)


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
