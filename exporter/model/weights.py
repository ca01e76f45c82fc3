"""Weights: Hugging Face's names and the canonical ones, with every tensor accounted for.

The canonical names are those of ``EncoderModel.state_dict()``. The Hugging Face names are those of
transformers 5.23 (``modeling_squeezebert.py``, ``modeling_bert.py``); the older names of the
original BERT release (``gamma``, ``beta``) are read too.
"""

from collections.abc import Mapping
from functools import lru_cache

import torch

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, Family, Task
from exporter.model.encoder import EncoderModel

#: Prefix that transformers puts before the encoder's names in a model with a head.
ENCODER_PREFIXES: dict[Family, str] = {"squeezebert": "transformer.", "bert": "bert."}

_EMBEDDINGS = {
    "embeddings.word": "embeddings.word_embeddings",
    "embeddings.position": "embeddings.position_embeddings",
    "embeddings.token_type": "embeddings.token_type_embeddings",
    "embeddings.norm": "embeddings.LayerNorm",
}
_LAYER: dict[Family, dict[str, str]] = {
    "squeezebert": {
        "attention.query": "attention.query",
        "attention.key": "attention.key",
        "attention.value": "attention.value",
        "attention.output": "post_attention.conv1d",
        "attention.norm": "post_attention.layernorm",
        "feed_forward.intermediate": "intermediate.conv1d",
        "feed_forward.output": "output.conv1d",
        "feed_forward.norm": "output.layernorm",
    },
    "bert": {
        "attention.query": "attention.self.query",
        "attention.key": "attention.self.key",
        "attention.value": "attention.self.value",
        "attention.output": "attention.output.dense",
        "attention.norm": "attention.output.LayerNorm",
        "feed_forward.intermediate": "intermediate.dense",
        "feed_forward.output": "output.dense",
        "feed_forward.norm": "output.LayerNorm",
    },
}
_LAYER_LIST: dict[Family, str] = {"squeezebert": "encoder.layers", "bert": "encoder.layer"}
_HEADS: dict[Task, dict[str, str]] = {
    "sequence-classification": {"head.pooler": "pooler.dense", "head.classifier": "classifier"},
    "token-classification": {"head.classifier": "classifier"},
    "question-answering": {"head.classifier": "qa_outputs"},
    "masked-lm": {
        "head.transform": "cls.predictions.transform.dense",
        "head.norm": "cls.predictions.transform.LayerNorm",
        "head.decoder": "cls.predictions.decoder",
    },
    "feature-extraction": {},
}

_WORD = "embeddings.word_embeddings.weight"
_DECODER_WEIGHT = "cls.predictions.decoder.weight"
_DECODER_BIAS = "cls.predictions.decoder.bias"
#: transformers keeps the decoder's bias under this name too, and older releases only under it.
_PREDICTIONS_BIAS = "cls.predictions.bias"

#: The only tensors that may be left unused: buffers that are not weights, and parts that belong to
#: another task than the one asked for (a checkpoint with a head serves for feature extraction, and
#: BERT's pre-training checkpoints carry the next sentence head and a pooler besides the masked-lm
#: head). A part that the asked task needs is used before this list is looked at.
IGNORABLE_PREFIXES = (
    "embeddings.position_ids",
    "embeddings.token_type_ids",
    "pooler.dense.",
    "classifier.",
    "qa_outputs.",
    "cls.predictions.",
    "cls.seq_relationship.",
)


def weight_shapes(config: EncoderConfig, task: Task, labels: int) -> dict[str, tuple[int, ...]]:
    """Shape of every weight of the model by canonical name, in the order of its ``state_dict``."""
    return dict(_shapes(config, task, labels))


# Searches ask thousands of times, and building a module takes 20 ms.
@lru_cache(maxsize=16)
def _shapes(
    config: EncoderConfig, task: Task, labels: int
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    with torch.device("meta"):
        state = EncoderModel(config, task, labels).state_dict()
    return tuple((name, tuple(tensor.shape)) for name, tensor in state.items())


def hugging_face_names(config: EncoderConfig, task: Task) -> dict[str, str]:
    """Canonical name -> Hugging Face name without the encoder's prefix, for every weight."""
    modules = dict(_EMBEDDINGS)
    for index in range(config.layers):
        for ours, theirs in _LAYER[config.family].items():
            modules[f"layers.{index}.{ours}"] = f"{_LAYER_LIST[config.family]}.{index}.{theirs}"
    modules.update(_HEADS[task])
    names = {}
    for canonical in weight_shapes(config, task, labels=1):
        module, _, parameter = canonical.rpartition(".")
        names[canonical] = f"{modules[module]}.{parameter}"
    return names


def from_hugging_face(
    state: Mapping[str, torch.Tensor], config: EncoderConfig, task: Task
) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Canonical fp32 contiguous weights of a checkpoint, and the names that were left unused.

    Convolution weights [out, in / groups, 1] become [out, in / groups]; half precision is widened.
    The number of labels is that of the checkpoint's classifier.

    Raises UserError, naming the tensor, for one that is missing, has another shape than the
    configuration says, is not finite or not floating point, and for every tensor that is neither
    used nor in ``IGNORABLE_PREFIXES``.
    """
    available, original = _normalized(state, config.family)
    if config.tied_decoder:
        _settle_tied_decoder(available, original)
    if _DECODER_BIAS not in available and _PREDICTIONS_BIAS in available:
        available[_DECODER_BIAS] = available[_PREDICTIONS_BIAS]
        original[_DECODER_BIAS] = original.pop(_PREDICTIONS_BIAS)
        del available[_PREDICTIONS_BIAS]
    names = hugging_face_names(config, task)
    _check_missing(names, available, task)
    labels = available["classifier.weight"].shape[0] if "classifier.weight" in available else 0
    shapes = weight_shapes(config, task, labels)
    weights = {
        canonical: _converted(available[name], shapes[canonical], original[name])
        for canonical, name in names.items()
    }
    used = set(names.values())
    unused = {name: original[name] for name in available if name not in used}
    unknown = [old for name, old in unused.items() if not name.startswith(IGNORABLE_PREFIXES)]
    if unknown:
        raise UserError(
            f"The checkpoint has {len(unknown)} tensors that the configuration does not explain: "
            f"{_listed(unknown)}.",
            "Check that config.json belongs to these weights (model_type, num_hidden_layers).",
        )
    return weights, tuple(sorted(unused.values()))


def to_hugging_face(
    weights: Mapping[str, torch.Tensor], config: EncoderConfig, task: Task
) -> dict[str, torch.Tensor]:
    """The inverse of ``from_hugging_face``: weights as transformers' class for ``task`` has them.

    A tied decoder is left out, as transformers does when it saves a model. The pooler that
    ``SqueezeBertModel`` always has, and that only sequence classification uses, is not invented.
    """
    prefix = "" if task == "feature-extraction" else ENCODER_PREFIXES[config.family]
    convolutions = config.family == "squeezebert"
    state = {}
    for canonical, name in hugging_face_names(config, task).items():
        tensor = weights[canonical]
        if convolutions and canonical.startswith("layers.") and tensor.ndim == 2:
            tensor = tensor.unsqueeze(-1)
        in_encoder = name.startswith(("embeddings.", "encoder.", "pooler."))
        state[prefix + name if in_encoder else name] = tensor.contiguous()
    if config.tied_decoder and _DECODER_BIAS in state:
        state[_PREDICTIONS_BIAS] = state.pop(_DECODER_BIAS)
    return state


def _normalized(
    state: Mapping[str, torch.Tensor], family: Family
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors by today's name without the encoder's prefix, and that name's original spelling."""
    available: dict[str, torch.Tensor] = {}
    original: dict[str, str] = {}
    for name, tensor in state.items():
        short = name.removeprefix(ENCODER_PREFIXES[family])
        module, _, parameter = short.rpartition(".")
        if module.lower().endswith("layernorm"):
            parameter = {"gamma": "weight", "beta": "bias"}.get(parameter, parameter)
        short = f"{module}.{parameter}" if module else parameter
        if short in available:
            raise UserError(
                f"The checkpoint has {original[short]} and {name}, which mean the same tensor.",
                "Remove one of the two from the weights.",
            )
        available[short], original[short] = tensor, name
    return available, original


def _settle_tied_decoder(available: dict[str, torch.Tensor], original: dict[str, str]) -> None:
    """Leave one copy of a weight that word embedding and decoder share.

    A file may hold either name or both (safetensors stores a shared tensor once).
    """
    if _DECODER_WEIGHT not in available:
        return
    decoder, name = available.pop(_DECODER_WEIGHT), original.pop(_DECODER_WEIGHT)
    if _WORD not in available:
        available[_WORD], original[_WORD] = decoder, name
    elif not torch.equal(available[_WORD], decoder):
        raise UserError(
            f"{name} differs from {original[_WORD]}, though the configuration ties them.",
            'Set "tie_word_embeddings": false in config.json.',
        )


def _check_missing(
    names: Mapping[str, str], available: Mapping[str, torch.Tensor], task: Task
) -> None:
    missing = {ours: theirs for ours, theirs in names.items() if theirs not in available}
    if not missing:
        return
    head = [theirs for ours, theirs in missing.items() if ours.startswith("head.")]
    if len(head) == len(missing):
        raise UserError(
            f"The checkpoint has no head for {task}: {_listed(head)} missing.",
            "Choose --task feature-extraction, or a checkpoint trained for this task.",
        )
    raise UserError(
        f"{len(missing)} tensors are missing in the checkpoint: {_listed(list(missing.values()))}.",
        "Check that config.json belongs to these weights, and that all their files are there.",
    )


def _converted(tensor: torch.Tensor, shape: tuple[int, ...], name: str) -> torch.Tensor:
    squeezed = tensor.squeeze(-1) if tensor.ndim == 3 and tensor.shape[-1] == 1 else tensor
    if tuple(squeezed.shape) != shape:
        raise UserError(
            f"{name} has shape {list(tensor.shape)}; the configuration says {list(shape)}.",
            "Check sizes and groups in config.json, or download the weights again.",
        )
    if not tensor.is_floating_point():
        raise UserError(
            f"{name} holds {str(tensor.dtype).removeprefix('torch.')}, not floating point.",
            "Use the unquantized checkpoint.",
        )
    converted = squeezed.to(torch.float32).contiguous()
    if not converted.isfinite().all():
        raise UserError(
            f"{name} holds values that are not finite (NaN or infinite in fp32).",
            "The checkpoint is damaged or its training diverged: use another one.",
        )
    return converted


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
