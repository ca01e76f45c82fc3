package org.squeezebert.app.ui

import android.content.Context
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.doubleOrNull
import org.squeezebert.app.R
import org.squeezebert.core.bundle.Bundle

/** What is to be known of a model: names and values, in the order of reading. */
internal fun modelCard(
    context: Context,
    formats: Formats,
    bundle: Bundle,
): List<Pair<String, String>> {
    val model = bundle.model
    val weights = if (model.trained) R.string.about_trained else R.string.about_random
    val facts = mutableListOf(
        R.string.about_source to formats.whole(bundle.name),
        R.string.about_architecture to formats.whole(model.architecture),
        R.string.about_weights to context.getString(weights),
        R.string.about_parameters to formats.number(model.parameters.toDouble()),
        R.string.about_layers to
            formats.whole("${formats.number(model.layers)} × ${formats.number(model.hiddenSize)}"),
        R.string.about_groups to groups(formats, model.groups),
        R.string.about_vocabulary to formats.number(model.vocabSize),
        R.string.about_longest to formats.number(model.maxLength),
    ).map { (name, value) -> context.getString(name) to value }.toMutableList()
    if (bundle.labels.isNotEmpty()) {
        val labels = if (bundle.labels.size <= FEW_LABELS) {
            bundle.labels.joinToString(", ")
        } else {
            formats.number(bundle.labels.size)
        }
        facts += context.getString(R.string.about_labels) to labels
    }
    for ((artifact, accuracy) in accuracies(bundle.document)) {
        facts += context.getString(R.string.about_accuracy, formats.whole(artifact)) to
            formats.percent(accuracy, ACCURACY_DIGITS)
    }
    return facts
}

/** The sizes of the groups, each once: most layers of a SqueezeBERT have four, bert has one. */
private fun groups(formats: Formats, groups: Map<String, Int>): String =
    groups.values.distinct().sortedDescending().joinToString(", ") { formats.number(it) }

/** What the manifest says of each artifact's accuracy: path -> proportion that is right. */
private fun accuracies(manifest: JsonObject): List<Pair<String, Double>> =
    (manifest["artifacts"] as? JsonArray).orEmpty().mapNotNull { element ->
        val artifact = element as? JsonObject ?: return@mapNotNull null
        val path = (artifact["path"] as? JsonPrimitive)?.contentOrNull
        val check = ((artifact["verification"] as? JsonObject)?.get("checks") as? JsonArray)
            .orEmpty()
            .firstOrNull {
                ((it as? JsonObject)?.get("name") as? JsonPrimitive)?.content == "accuracy"
            }
        val measured = (check as? JsonObject)?.get("measured") as? JsonObject
        val accuracy = (measured?.get("accuracy") as? JsonPrimitive)?.doubleOrNull
        if (path != null && accuracy != null) path to accuracy else null
    }

/** More would be a page of their own. */
private const val FEW_LABELS = 6

private const val ACCURACY_DIGITS = 2
