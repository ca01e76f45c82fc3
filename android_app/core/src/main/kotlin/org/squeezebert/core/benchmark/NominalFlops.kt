package org.squeezebert.core.benchmark

import org.squeezebert.core.bundle.ModelFacts

/**
 * Nominal floating-point operations of one inference of [length] tokens: runtime_bench/flops.py.
 *
 * A multiply-add counts as 2; [labels] is the size of the model's answer.
 */
internal fun nominalFlops(model: ModelFacts, labels: Int, length: Int): Long {
    val tokens = length.toLong()
    val hidden = model.hiddenSize.toLong()
    val inner = model.intermediateSize.toLong()
    fun products(vararg layers: String, of: Long) =
        layers.sumOf { 2 * tokens * hidden * of / model.groups.getValue(it) }
    val layer = products("query", "key", "value", "post_attention", of = hidden) +
        4 * tokens * tokens * hidden +
        products("intermediate", "output", of = inner)
    val head = when (model.task) {
        "sequence-classification" -> 2 * hidden * hidden + 2 * hidden * labels
        "token-classification" -> 2 * tokens * hidden * labels
        "question-answering" -> 4 * tokens * hidden
        "masked-lm" -> 2 * tokens * hidden * hidden + 2 * tokens * hidden * model.vocabSize
        else -> 0
    }
    return model.layers * layer + head
}
