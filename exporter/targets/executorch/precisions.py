"""The scheme that a precision has, and the mix that it stands for on the CPU."""

from exporter.errors import UserError
from exporter.model.config import EncoderConfig, SourceModel, Task
from exporter.quantization.mix import METHODS, MIXED, Mix, check_mix, uniform_mix
from exporter.quantization.schemes.mixed import mix_of

#: Methods that XNNPACK computes and the runtime's lookups read, the usual first.
LINEAR_METHODS = ("int8_token", "int4_token", "fp32")
TABLE_METHODS = ("int8", "int4", "fp32")

#: The scheme of a precision, where it has another name: int4 is one of the mixes.
_SCHEMES = {"int8": "int8_token", "fp16": "fp16_compute", "int4": MIXED}

#: Method of linear layers, of tables, and of layers whose rows are no whole blocks.
_UNIFORM = {
    "fp32": ("fp32", "fp32", ""),
    "int8": ("int8_token", "int8", ""),
    "int4": ("int4_token", "int8", "int8_token"),
}


def scheme_of(precision: str) -> str:
    """Name of the scheme that defines ``precision``."""
    return _SCHEMES.get(precision, precision)


def uniform(precision: str, config: EncoderConfig, task: Task) -> Mix:
    """The mix of a precision that treats all layers alike. UserError for one that is not here."""
    if precision not in _UNIFORM:
        raise UserError(
            f"The target executorch has no '{precision}'.",
            f"--precision: {', '.join((*_UNIFORM, MIXED))}.",
        )
    return uniform_mix(config, task, *_UNIFORM[precision])


def mix_for(model: SourceModel, precision: str) -> Mix:
    """The mix by which ``model`` is lowered. UserError for one that cannot be computed."""
    if precision != MIXED:
        return uniform(precision, model.config, model.task)
    mix = mix_of(model)
    check(mix, model.config, model.task)
    return mix


def check(mix: Mix, config: EncoderConfig, task: Task) -> None:
    """UserError where XNNPACK cannot compute ``mix``, or the mix is none of this model."""
    check_mix(mix, config, task, LINEAR_METHODS)
    tied = task == "masked-lm" and config.tied_decoder
    int8_decoder = tied and mix.methods["embeddings.word"] != "fp32"
    # The decoder's input is quantized as that of the layer before it: by token, or not at all.
    if int8_decoder and METHODS[mix.methods["head.transform"]].inputs != "token":
        raise UserError(
            "The mix cannot be built: the decoder multiplies with the words' table, which is int8, "
            "and the layer before it is fp32.",
            "Let head.transform be int8_token or int4_token, or embeddings.word fp32",
        )
