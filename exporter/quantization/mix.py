"""A mix: by which method each linear layer and each table of a model is stored and computed.

Every int8 artifact is a mix, if a uniform one. What a method computes is defined here and in
``exporter.quantization.schemes.mixed``, whose reference every target has to equal.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, Task
from exporter.model.weights import weight_shapes
from exporter.quantization.kept import KEPT
from exporter.quantization.rounding import BLOCK, TABLE_BLOCK, Rounded

Float32 = npt.NDArray[np.float32]
Weights = Literal["fp32", "int8", "int4", "int4_two_level"]
Inputs = Literal["float", "tensor", "static", "token", "symmetric"]
Kind = Literal[
    "embeddings", "attention", "products", "post_attention", "intermediate", "output", "head"
]


@dataclass(frozen=True)
class Method:
    """How the weight of a linear layer is stored, and how its input is quantized.

    ``weights``: ``int8`` has a scale an output channel (``rounding.quantize_rows``), ``int4`` one
    for 32 inputs (``quantize_blocks``), ``int4_two_level`` both (``quantize_two_levels``).
    ``inputs``: by the range of the whole ``tensor`` (of each group, where a second feed-forward
    layer has the groups of the first), by ``static`` bounds, by each ``token``'s range in the
    block of channels that a group reads, by each token's largest magnitude over all channels
    (``symmetric``), or not at all (``float``).
    """

    name: str
    weights: Weights
    inputs: Inputs

    @property
    def bits(self) -> int:
        """Width of the stored weight."""
        return {"fp32": 32, "int8": 8}.get(self.weights, 4)


#: The precision of artifacts whose mix a search has chosen.
MIXED = "mixed"

#: Methods of linear layers, by name.
METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("fp32", "fp32", "float"),
        Method("int8_tensor", "int8", "tensor"),
        Method("int8_static", "int8", "static"),
        Method("int8_token", "int8", "token"),
        Method("int8_symmetric", "int8", "symmetric"),
        Method("int4_token", "int4", "token"),
        Method("int4_tensor", "int4_two_level", "tensor"),
        Method("int4_static", "int4_two_level", "static"),
        Method("int4_symmetric", "int4_two_level", "symmetric"),
    )
}

#: Methods of embedding tables, and their widths: int8 rows, or int4 in blocks of ``TABLE_BLOCK``.
TABLE_METHODS: Mapping[str, int] = {"fp32": 32, "int8": 8, "int4": 4}

_PROJECTIONS = ("query", "key", "value")


@dataclass(frozen=True)
class Mix:
    """``methods`` by the name of the layer or table (its weight's without ``.weight``).

    ``smoothing`` [hidden size] by site (``smoothing_sites``): powers of two that the input of the
    site's layers is divided by before it is quantized, and their weights multiplied with. Without
    quantization the function is the same to the last bit. ``bounds`` are the static ranges (lowest
    and highest value) of inputs by layer, after smoothing. ``corrected`` replaces, by weight name,
    the plain rounding of a (smoothed) weight by levels that make up for each other's errors.
    """

    methods: Mapping[str, str]
    smoothing: Mapping[str, Float32] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    corrected: Mapping[str, Rounded] = field(default_factory=dict)

    def method(self, layer: str) -> Method:
        """Of the linear layer ``layer``."""
        return METHODS[self.methods[layer]]

    def factors(self, layer: str) -> Float32 | None:
        """What the input of ``layer`` is divided by, None: nothing."""
        return self.smoothing.get(site_of(layer))

    def text(self) -> str:
        """JSON of everything but the corrected weights, which artifacts hold themselves."""
        document = {
            "methods": dict(self.methods),
            "smoothing": {n: np.log2(v).astype(int).tolist() for n, v in self.smoothing.items()},
            "bounds": {name: list(bounds) for name, bounds in self.bounds.items()},
            "corrected": sorted(self.corrected),
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    @property
    def sha256(self) -> str:
        """Over all of it: the text and the corrected levels."""
        digest = hashlib.sha256(self.text().encode())
        for name in sorted(self.corrected):
            digest.update(self.corrected[name].levels.tobytes())
        return digest.hexdigest()


def read_mix(text: str) -> tuple[Mix, tuple[str, ...]]:
    """The mix in ``Mix.text``, and the names of its corrected weights, which it has not.

    ValueError for a text that is no mix.
    """
    try:
        found: Any = json.loads(text)
        mix = Mix(
            {str(name): str(method) for name, method in found["methods"].items()},
            {
                str(name): np.exp2(np.asarray(powers, np.float32))
                for name, powers in found["smoothing"].items()
            },
            {str(name): (float(low), float(high)) for name, (low, high) in found["bounds"].items()},
        )
        return mix, tuple(str(name) for name in found["corrected"])
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no mix: {error!r}") from error


def site_of(layer: str) -> str:
    """The smoothing site that ``layer`` reads; "" for layers that read none."""
    before, _, part = layer.rpartition(".")
    return before if part in (*_PROJECTIONS, "intermediate") else ""


def smoothing_sites(config: EncoderConfig) -> tuple[str, ...]:
    """Where inputs can be smoothed: what a LayerNorm gives to an attention or feed-forward."""
    parts = ("attention", "feed_forward")
    return tuple(f"layers.{index}.{part}" for index in range(config.layers) for part in parts)


@dataclass(frozen=True)
class Unit:
    """Layers (or a table) that a mix treats alike: what is chosen as one.

    ``layer`` is the encoder layer, None outside of them; ``members`` are names of ``Mix.methods``.
    """

    name: str
    kind: Kind
    layer: int | None
    members: tuple[str, ...]


def units(config: EncoderConfig, task: Task) -> tuple[Unit, ...]:
    """Every unit of a model, in the order of computation. Queries, keys and values read the same
    tensor, and are one."""
    found = [
        Unit(f"embeddings.{table}", "embeddings", None, (f"embeddings.{table}",))
        for table in ("word", "position")
    ]
    for index in range(config.layers):
        name = f"layers.{index}"
        attention, feed_forward = f"{name}.attention", f"{name}.feed_forward"
        found += [
            Unit(attention, "attention", index, tuple(f"{attention}.{p}" for p in _PROJECTIONS)),
            Unit(f"{attention}.output", "post_attention", index, (f"{attention}.output",)),
            Unit(
                f"{feed_forward}.intermediate",
                "intermediate",
                index,
                (f"{feed_forward}.intermediate",),
            ),
            Unit(f"{feed_forward}.output", "output", index, (f"{feed_forward}.output",)),
        ]
    inside = {member for unit in found for member in unit.members}
    found += [
        Unit(name, "head", None, (name,)) for name in matrices(config, task) if name not in inside
    ]
    return tuple(found)


def matrices(config: EncoderConfig, task: Task) -> tuple[str, ...]:
    """Names in ``Mix.methods`` of every linear layer and table: all matrices but ``KEPT``."""
    shapes = weight_shapes(config, task, labels=2)
    return tuple(
        name.removesuffix(".weight")
        for name, shape in shapes.items()
        if len(shape) == 2 and name not in KEPT
    )


def is_table(name: str) -> bool:
    """Whether ``name`` (of ``matrices``) is an embedding table."""
    return name.startswith("embeddings.")


def uniform_mix(
    config: EncoderConfig, task: Task, linear: str, table: str, narrow: str = ""
) -> Mix:
    """Every linear layer by the method ``linear``, every table by ``table``.

    ``narrow`` is the method of layers whose rows are no whole blocks where ``linear`` needs them.
    Tables that have none, and the table of a tied decoder, are int8 where ``table`` is int4.
    """
    return Mix(
        {
            name: _possible(config, task, name, table if is_table(name) else linear, narrow)
            for name in matrices(config, task)
        }
    )


def possible(config: EncoderConfig, task: Task, name: str, method: str) -> bool:
    """Whether the layer or table ``name`` can be stored by ``method``: 4 bits want whole blocks,
    and a tied decoder multiplies with the words' table, which int4 tables are not made for."""
    columns = weight_shapes(config, task, labels=2)[f"{name}.weight"][1]
    if is_table(name):
        tied = task == "masked-lm" and config.tied_decoder and name == "embeddings.word"
        return method != "int4" or (columns % TABLE_BLOCK == 0 and not tied)
    return METHODS[method].bits != 4 or columns % BLOCK == 0


def _possible(config: EncoderConfig, task: Task, name: str, method: str, narrow: str) -> str:
    if possible(config, task, name, method):
        return method
    return "int8" if is_table(name) else narrow


def check_mix(mix: Mix, config: EncoderConfig, task: Task, methods: Iterable[str]) -> None:
    """UserError unless ``mix`` names a method of every layer and table that can be computed.

    ``methods`` are those of the target's linear layers.
    """
    for problem in _problems(mix, config, task, tuple(methods)):
        raise UserError(f"The mix cannot be built: {problem}.", "Let the build choose: --budget")


def _problems(
    mix: Mix, config: EncoderConfig, task: Task, methods: tuple[str, ...]
) -> Iterator[str]:
    expected = set(matrices(config, task))
    for name in sorted(expected ^ set(mix.methods)):
        yield f"{name} is {'missing' if name in expected else 'no layer of the model'}"
    for name in sorted(expected & set(mix.methods)):
        method = mix.methods[name]
        if method not in (TABLE_METHODS if is_table(name) else methods):
            yield f"{name} has the method '{method}', which is not offered"
        elif not possible(config, task, name, method):
            yield f"{name} cannot be stored by {method}"
        elif not is_table(name) and METHODS[method].inputs == "static" and name not in mix.bounds:
            yield f"{name} has no static bounds"
    for unit in units(config, task):
        if len({mix.methods.get(member) for member in unit.members}) > 1:
            yield f"{', '.join(unit.members)} read one tensor and have several methods"
    for site, factors in sorted(mix.smoothing.items()):
        if site not in smoothing_sites(config):
            yield f"{site} is no place for smoothing"
        elif factors.shape != (config.hidden_size,) or not (np.abs(np.log2(factors)) <= 30).all():
            yield f"the factors of {site} are no {config.hidden_size} powers of two around 1"
    for name, (low, high) in sorted(mix.bounds.items()):
        if name not in expected or is_table(name) or not -np.inf < low <= high < np.inf:
            yield f"the bounds of {name} are no range of a layer's input"
