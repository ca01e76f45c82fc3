"""What a package says about itself: its inputs, outputs and origin, for people and for tools."""

from collections.abc import Mapping
from typing import Any

import coremltools

import exporter
from exporter.model.config import Family, SourceModel
from exporter.targets.coreml.form import Form

_FAMILIES: Mapping[Family, str] = {"squeezebert": "SqueezeBERT", "bert": "BERT"}
_AUTHOR = "squeezebert-mobile"
#: Where coremltools itself writes its version.
_TOOL = "com.github.apple.coremltools.version"
_UNKNOWN_LICENCE = "Not known to the exporter: see the model card of the source."


def describe(
    spec: Any, model: SourceModel, precision: str, form: Form, metadata: Mapping[str, str]
) -> None:
    """Fill in the description of the protobuf ``spec``.

    Every entry of ``metadata`` becomes one of the user-defined map, which also names the version of
    coremltools; ``source``, ``licence`` and ``version`` are said in the package's own fields too.
    """
    texts = {**_inputs(model), **_outputs(model)}
    for feature in (*spec.description.input, *spec.description.output):
        feature.shortDescription = texts[feature.name]
    about = spec.description.metadata
    about.shortDescription = _summary(model, precision, form)
    source = metadata.get("source")
    about.author = _AUTHOR if source is None else f"{_AUTHOR}, from {source}"
    about.license = metadata.get("licence", _UNKNOWN_LICENCE)
    about.versionString = metadata.get("version", exporter.__version__)
    about.userDefined.clear()
    about.userDefined.update({**metadata, _TOOL: coremltools.__version__})


def _summary(model: SourceModel, precision: str, form: Form) -> str:
    lengths = form.takes(model.config)
    tokens = f"1 to {lengths[-1]}" if form.lengths == "ranged" else _either(lengths)
    layout = {"neural_engine": "(1, C, 1, S)", "sequence": "(1, S, C)"}[form.layout]
    task = model.task.replace("-", " ")
    return (
        f"{_FAMILIES[model.config.family]} for {task}. Precision: {precision}, computed in "
        f"{'fp32' if precision == 'fp32' else 'fp16'}. "
        f"Layout: {form.layout} {layout}. Texts of {tokens} tokens, one at a time."
    )


def _either(lengths: tuple[int, ...]) -> str:
    *most, last = map(str, lengths)
    return f"{', '.join(most)} or {last}" if most else last


def _inputs(model: SourceModel) -> dict[str, str]:
    pad = model.config.pad_token_id
    return {
        "input_ids": f"Ids of the tokens of one text or pair, padded with {pad} at the end.",
        "attention_mask": "1 = token, 0 = padding.",
        "token_type_ids": "0 = first text (and padding), 1 = second text of a pair.",
    }


def _outputs(model: SourceModel) -> dict[str, str]:
    labels = ", ".join(model.labels or ())
    scores = {
        "sequence-classification": f"Scores before softmax [1, labels], in this order: {labels}.",
        "token-classification": "Scores of every token before softmax [1, tokens, labels], in this "
        f"order: {labels}.",
        "masked-lm": "Scores of every word for every token, before softmax [1, tokens, words].",
    }
    return {
        "classLabel": "The label with the highest probability.",
        "classLabel_probs": f"Probability of every label (softmax of the logits): {labels}.",
        "logits": scores.get(model.task, ""),
        "start_logits": "Score of every token as the start of the answer [1, tokens].",
        "end_logits": "Score of every token as the end of the answer [1, tokens].",
        "last_hidden_state": "Hidden state of every token [1, tokens, channels].",
    }
