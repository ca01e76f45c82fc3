"""Nominal floating-point operations of an encoder, for the share of the machine's peak."""

from runtime_bench.bundles import ModelFacts


def nominal_flops(model: ModelFacts, length: int) -> int:
    """Operations of one inference of ``length`` tokens at batch 1; a multiply-add counts as 2.

    With T tokens, H hidden size, I intermediate size and g_x the groups of layer x (a grouped
    layer multiplies only its own slice, hence the division), each encoder layer does

        2 T H H (1/g_query + 1/g_key + 1/g_value + 1/g_post_attention)      the four projections
        2 T T H + 2 T T H                                                   scores, and context
        2 T H I (1/g_intermediate + 1/g_output)                             the feed-forward pair

    and the head of the task adds its matrix products. Embeddings, normalisation, softmax and
    activations are not counted: they are no matrix products. The figure is *nominal*: it
    describes the architecture, so that an artifact that computes less (for example only the
    first row of the last layer) is not charged with fewer operations.
    bert-base-uncased at 128 tokens: 22.35 G. SqueezeBERT base: 7.40 G (arXiv 2006.11316, sec. 3).
    """
    hidden, inner, groups = model.hidden_size, model.intermediate_size, model.groups
    projections = sum(
        2 * length * hidden * hidden // groups[name]
        for name in ("query", "key", "value", "post_attention")
    )
    attention = 4 * length * length * hidden
    feed_forward = sum(
        2 * length * hidden * inner // groups[name] for name in ("intermediate", "output")
    )
    return model.layers * (projections + attention + feed_forward) + _head_flops(model, length)


def _head_flops(model: ModelFacts, length: int) -> int:
    hidden = model.hidden_size
    if model.task == "sequence-classification":
        return 2 * hidden * hidden + 2 * hidden * model.label_count
    if model.task == "token-classification":
        return 2 * length * hidden * model.label_count
    if model.task == "question-answering":
        return 2 * length * hidden * 2
    if model.task == "masked-lm":
        return 2 * length * hidden * hidden + 2 * length * hidden * model.vocab_size
    return 0
