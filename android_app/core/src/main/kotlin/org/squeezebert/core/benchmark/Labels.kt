package org.squeezebert.core.benchmark

import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.Bundle
import org.squeezebert.core.bundle.ModelFacts

/** One label for each choice, as runtime_bench/labels.py makes them: no two are equal. */
internal fun uniqueLabels(choices: List<Choice>): List<String> {
    val labels = choices.map { shortLabel(it.bundle, it.artifact) }.toMutableList()
    val details = listOf<(Choice) -> String>(
        { it.bundle.model.source },
        { it.artifact.path },
        { it.bundle.folder.name },
    )
    for (detail in details) {
        for (shared in labels.groupingBy { it }.eachCount().filterValues { it > 1 }.keys) {
            val places = labels.indices.filter { labels[it] == shared }
            if (places.map { detail(choices[it]) }.toSet().size == 1) continue
            for (place in places) labels[place] = "$shared [${detail(choices[place])}]"
        }
    }
    return labels
}

private fun shortLabel(bundle: Bundle, artifact: Artifact): String {
    val stock = bundle.recipe == "stock"
    val words = listOfNotNull(
        modelName(bundle.model),
        if (stock) "stock" else "ours",
        artifact.precision,
        artifact.flavour.takeIf { it != "optimized" && it != "stock" },
        artifact.target.takeIf { it != "onnx" },
    )
    val tool = if (stock) STOCK_TOOL[artifact.target to artifact.precision].orEmpty() else ""
    return words.joinToString(" ") + tool
}

private fun modelName(model: ModelFacts): String {
    val base = model.layers == 12 && model.hiddenSize == 768 && model.intermediateSize == 3072
    val size = "${model.layers}x${model.hiddenSize}"
    return when (model.family) {
        "squeezebert" -> if (base) "SqueezeBERT" else "SqueezeBERT $size"
        "bert" ->
            if (base && model.groups.values.all { it == 1 }) "bert-base-uncased" else "BERT $size"
        else -> "${model.family} $size"
    }
}

private val STOCK_TOOL = mapOf(
    ("onnx" to "fp32") to " (torch.onnx)",
    ("onnx" to "int8") to " (quantize_dynamic)",
)
