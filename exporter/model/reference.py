"""transformers' own model with the weights of a source: the independent reference."""

from typing import Any

import torch
import transformers

from exporter.model.config import SourceModel, architecture
from exporter.model.weights import ENCODER_PREFIXES, to_hugging_face


def transformers_model(source: SourceModel) -> Any:
    """The ``PreTrainedModel`` of transformers for the family and task of ``source``.

    In evaluation mode, without gradients, with eager attention (the computation that is written
    out in transformers' source; the fused kernels round differently). Raises RuntimeError when a
    tensor is unused, or missing other than those that transformers ties or does not use.
    """
    config, task = source.config, source.task
    model_class: Any = getattr(transformers, architecture(config.family, task))
    labels = source.labels if source.labels is not None else ("0", "1")
    values = config.to_hugging_face(task, labels)
    settings = model_class.config_class(**values, attn_implementation="eager")
    model = model_class(settings)
    missing, unexpected = model.load_state_dict(
        to_hugging_face(source.weights, config, task), strict=False
    )
    prefix = "" if task == "feature-extraction" else ENCODER_PREFIXES[config.family]
    allowed = {
        f"{prefix}pooler.dense.weight",  # in the class, and without effect on these outputs
        f"{prefix}pooler.dense.bias",
    }
    if task == "sequence-classification":
        allowed = set()
    if task == "masked-lm":
        # Both names of a tied parameter are listed; untied, ``predictions.bias`` is never read.
        tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
        allowed |= tied if config.tied_decoder else {"cls.predictions.bias"}
    wrong = [*unexpected, *(name for name in missing if name not in allowed)]
    if wrong:
        raise RuntimeError(f"tensors missing or unused in transformers' model: {wrong}")
    return model.eval().requires_grad_(False)


def reference_outputs(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    token_type_ids: torch.Tensor,
) -> tuple[dict[str, torch.Tensor], tuple[torch.Tensor, ...]]:
    """Outputs by name and hidden states (embeddings, then after each layer), from transformers.

    Inputs are [B, T] int64; hidden states are [B, T, H].
    """
    with torch.no_grad():
        result = model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            output_hidden_states=True,
        )
    names = ("logits", "start_logits", "end_logits", "last_hidden_state")
    outputs = {name: result[name] for name in names if name in result}
    return outputs, tuple(result.hidden_states)
