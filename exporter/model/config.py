"""Shape and choices of an encoder, read from a Hugging Face configuration.

The defaults are those of transformers 5.23 (``SqueezeBertConfig``, ``BertConfig``), so that a
configuration that leaves a field out means the same here as there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy.typing as npt
import torch

from exporter.errors import UserError

if TYPE_CHECKING:  # that module needs this one
    from exporter.quantization.mix import Mix

Family = Literal["squeezebert", "bert"]
Task = Literal[
    "sequence-classification",
    "feature-extraction",
    "token-classification",
    "question-answering",
    "masked-lm",
]
Activation = Literal["gelu", "gelu_new", "relu", "silu"]

FAMILIES: tuple[Family, ...] = get_args(Family)
TASKS: tuple[Task, ...] = get_args(Task)

#: Hugging Face's activation names and the function each one is. ``gelu`` is the exact one (erf),
#: ``gelu_new`` the tanh approximation; ``gelu_fast`` and ``gelu_pytorch_tanh`` are other spellings
#: of that approximation (their constants differ by less than 1e-11).
ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}

#: Class name of transformers for every task, after the family's prefix.
CLASS_SUFFIXES: dict[Task, str] = {
    "sequence-classification": "ForSequenceClassification",
    "feature-extraction": "Model",
    "token-classification": "ForTokenClassification",
    "question-answering": "ForQuestionAnswering",
    "masked-lm": "ForMaskedLM",
}
CLASS_PREFIXES: dict[Family, str] = {"squeezebert": "SqueezeBert", "bert": "Bert"}

# SqueezeBertLayerNorm of transformers is built without the configuration's layer_norm_eps: inside
# the layers epsilon is always its default, whatever the configuration says.
_SQUEEZEBERT_LAYER_EPSILON = 1e-12

_DEFAULTS: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "tie_word_embeddings": True,
    "embedding_size": 768,
    "q_groups": 4,
    "k_groups": 4,
    "v_groups": 4,
    "post_attention_groups": 1,
    "intermediate_groups": 4,
    "output_groups": 4,
}
_GROUP_FIELDS = {
    "query": "q_groups",
    "key": "k_groups",
    "value": "v_groups",
    "post_attention": "post_attention_groups",
    "intermediate": "intermediate_groups",
    "output": "output_groups",
}


@dataclass(frozen=True)
class GroupCounts:
    """Groups of the six linear layers of an encoder layer (1: an ordinary linear layer)."""

    query: int = 1
    key: int = 1
    value: int = 1
    post_attention: int = 1
    intermediate: int = 1
    output: int = 1


@dataclass(frozen=True)
class EncoderConfig:
    """Everything that decides the computation of an encoder, apart from its weights.

    ``norm_epsilon`` belongs to the LayerNorms of the embeddings and of the masked-lm head,
    ``layer_norm_epsilon`` to those inside the layers; they differ for SqueezeBERT, whose layers
    ignore the configuration. ``tied_decoder``: the masked-lm decoder is the word embedding.
    """

    family: Family
    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    max_positions: int
    token_types: int
    activation: Activation
    norm_epsilon: float
    layer_norm_epsilon: float
    pad_token_id: int
    groups: GroupCounts
    tied_decoder: bool

    @property
    def head_size(self) -> int:
        """Channels of one attention head."""
        return self.hidden_size // self.heads

    @classmethod
    def from_hugging_face(cls, values: Mapping[str, Any]) -> "EncoderConfig":
        """The encoder that a ``config.json`` describes.

        Raises UserError for everything that this encoder does not compute exactly: another
        ``model_type``, activation or kind of positions, decoders, pruned heads, an
        ``embedding_size`` other than ``hidden_size``, sizes that heads or groups do not divide.
        """
        family = values.get("model_type")
        if family not in FAMILIES:
            raise UserError(
                f"The configuration's model_type is {family!r}, which is not supported.",
                f"Choose a checkpoint of type {' or '.join(FAMILIES)}.",
            )
        _refuse_unsupported(values)
        read = {**_DEFAULTS, **{k: v for k, v in values.items() if v is not None}}
        hidden = _positive(read, "hidden_size")
        epsilon = _epsilon(read)
        if family == "squeezebert":
            embedding = _positive(read, "embedding_size")
            if embedding != hidden:
                raise UserError(
                    f"embedding_size {embedding} differs from hidden_size {hidden}.",
                    "SqueezeBERT needs them equal (embedding_size is 768 when left out): "
                    "correct config.json.",
                )
            groups = GroupCounts(**{k: _positive(read, v) for k, v in _GROUP_FIELDS.items()})
        else:
            groups = GroupCounts()
        config = cls(
            family=cast(Family, family),
            vocab_size=_positive(read, "vocab_size"),
            hidden_size=hidden,
            layers=_positive(read, "num_hidden_layers"),
            heads=_positive(read, "num_attention_heads"),
            intermediate_size=_positive(read, "intermediate_size"),
            max_positions=_positive(read, "max_position_embeddings"),
            token_types=_positive(read, "type_vocab_size"),
            activation=_activation(read["hidden_act"]),
            norm_epsilon=epsilon,
            layer_norm_epsilon=_SQUEEZEBERT_LAYER_EPSILON if family == "squeezebert" else epsilon,
            pad_token_id=_integer(read, "pad_token_id", smallest=0),
            groups=groups,
            tied_decoder=bool(read["tie_word_embeddings"]),
        )
        _check_divisions(config)
        return config

    def to_hugging_face(self, task: Task, labels: Sequence[str] | None = None) -> dict[str, Any]:
        """A ``config.json`` that transformers reads as this encoder with the head of ``task``."""
        values: dict[str, Any] = {
            "architectures": [architecture(self.family, task)],
            "model_type": self.family,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.intermediate_size,
            "hidden_act": self.activation,
            "max_position_embeddings": self.max_positions,
            "type_vocab_size": self.token_types,
            "layer_norm_eps": self.norm_epsilon,
            "pad_token_id": self.pad_token_id,
            "tie_word_embeddings": self.tied_decoder,
        }
        if self.family == "squeezebert":
            counts = asdict(self.groups)
            values["embedding_size"] = self.hidden_size
            values.update({field: counts[name] for name, field in _GROUP_FIELDS.items()})
        if labels is not None:
            values["id2label"] = {str(i): label for i, label in enumerate(labels)}
            values["label2id"] = {label: i for i, label in enumerate(labels)}
        return values


@dataclass(frozen=True)
class SourceModel:
    """A model to export: its encoder, its task and every weight of it.

    ``weights`` holds contiguous fp32 tensors under the canonical names of ``EncoderModel``.
    ``labels`` names the classes of the classification tasks and is None for the others.

    ``calibration`` are inputs by name (int64 [1, T] each), one entry a text, from which schemes
    with static activations take their ranges. ``ranges`` are such ranges: the largest absolute
    value that enters the linear layer of that name. ``mix`` says by which method each layer is
    computed, for the scheme ``mixed``.
    """

    config: EncoderConfig
    task: Task
    labels: tuple[str, ...] | None
    weights: Mapping[str, torch.Tensor]
    calibration: tuple[Mapping[str, npt.NDArray[Any]], ...] = ()
    ranges: Mapping[str, float] = field(default_factory=dict)
    mix: "Mix | None" = None


def architecture(family: Family, task: Task) -> str:
    """Name of transformers' class for ``task``, as ``architectures`` in ``config.json`` has it."""
    return CLASS_PREFIXES[family] + CLASS_SUFFIXES[task]


def _refuse_unsupported(values: Mapping[str, Any]) -> None:
    positions = values.get("position_embedding_type") or "absolute"
    if positions != "absolute":
        raise UserError(
            f"position_embedding_type is {positions!r}: only absolute positions are supported.",
            "Choose a checkpoint with absolute positions.",
        )
    for name in ("is_decoder", "add_cross_attention", "is_encoder_decoder", "pruned_heads"):
        if values.get(name):
            raise UserError(
                f"The configuration sets {name}, which is not supported.",
                "Choose a plain encoder checkpoint.",
            )


def _integer(values: Mapping[str, Any], field: str, smallest: int) -> int:
    value = values[field]
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        raise UserError(
            f"{field} is {value!r} in the configuration; an integer >= {smallest} is needed.",
            "Correct config.json.",
        )
    return value


def _positive(values: Mapping[str, Any], field: str) -> int:
    return _integer(values, field, smallest=1)


def _epsilon(values: Mapping[str, Any]) -> float:
    value = values["layer_norm_eps"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        value = math.nan
    if not 0 < value < 1:
        raise UserError(
            f"layer_norm_eps is {values['layer_norm_eps']!r}; a number between 0 and 1 is needed.",
            "Correct config.json.",
        )
    return float(value)


def _activation(name: Any) -> Activation:
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise UserError(
            f"The activation {name!r} is not supported.",
            f"Supported: {', '.join(ACTIVATIONS)}.",
        )
    return ACTIVATIONS[name]


def _check_divisions(config: EncoderConfig) -> None:
    hidden, inner, groups = config.hidden_size, config.intermediate_size, config.groups
    divisions = [
        ("hidden_size", hidden, "num_attention_heads", config.heads),
        ("hidden_size", hidden, "q_groups", groups.query),
        ("hidden_size", hidden, "k_groups", groups.key),
        ("hidden_size", hidden, "v_groups", groups.value),
        ("hidden_size", hidden, "post_attention_groups", groups.post_attention),
        ("hidden_size", hidden, "intermediate_groups", groups.intermediate),
        ("intermediate_size", inner, "intermediate_groups", groups.intermediate),
        ("hidden_size", hidden, "output_groups", groups.output),
        ("intermediate_size", inner, "output_groups", groups.output),
    ]
    for size_name, size, count_name, count in divisions:
        if size % count:
            raise UserError(
                f"{size_name} {size} is not a multiple of {count_name} {count}.",
                "Correct config.json.",
            )
    if config.pad_token_id >= config.vocab_size:
        raise UserError(
            f"pad_token_id {config.pad_token_id} is outside the vocabulary of "
            f"{config.vocab_size} pieces.",
            "Correct config.json.",
        )
