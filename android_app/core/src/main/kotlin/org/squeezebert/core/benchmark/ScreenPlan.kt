package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonObject
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.Bundle
import org.squeezebert.core.bundle.ModelFacts
import org.squeezebert.core.bundle.StoredFile
import org.squeezebert.core.engine.Tokens

/**
 * The plan of the Benchmark screen: [choices] in the order in which they take turns.
 *
 * The token ids are those that runtime_bench takes for the same seed, length and vocabulary. There
 * is no computer whose answers could be expected: outputs must be finite, and artifacts of one
 * bundle are compared with each other. A plan entry's `bundle` is the name of the bundle's folder.
 *
 * Throws [UserError] where there is nothing to measure, or a length is too long for a model.
 */
fun planFor(
    choices: List<Choice>,
    lengths: List<Int>,
    threads: Int,
    settings: Settings,
): BenchmarkPlan {
    settings.check()
    val sorted = lengths.toSortedSet().toList()
    if (choices.isEmpty() || sorted.isEmpty() || sorted.first() < 1 || threads < 1) {
        throw UserError("There is nothing to measure.", "Choose a model, a length and threads.")
    }
    val shortest = choices.minBy { it.bundle.model.maxPositions }.bundle
    if (sorted.last() > shortest.model.maxPositions) {
        throw UserError(
            "Length ${sorted.last()} is too long: ${shortest.name} has a position table of " +
                "${shortest.model.maxPositions} tokens.",
            "Choose lengths up to that, or leave that model out.",
        )
    }
    val entries = choices.zip(uniqueLabels(choices)).mapIndexed { index, (choice, label) ->
        val id = "e${index + 1}"
        val role = if (choice.baseline) "baseline" else "subject"
        PlanEntry(
            id = id,
            label = label,
            roles = listOf(role),
            bundle = choice.bundle.folder.name,
            artifact = choice.artifact,
            inputs = sorted.associateWith { goldenInput(choice.bundle.model, it, settings.seed) },
            expected = null,
            tolerance = tolerance(choice.artifact.precision),
            document = entryDocument(choice, id, label, role, sorted),
        )
    }
    return BenchmarkPlan(
        command = listOf("squeezebert-app"),
        device = "app",
        entries = entries,
        lengths = sorted,
        threads = listOf(threads),
        settings = settings,
        warnings = emptyList(),
        notices = emptyList(),
    )
}

// The limits of runtime_bench/right_answers.py, whose reasons stand there.
internal const val EXACT_TOLERANCE = 1e-4
internal const val QUANTIZED_TOLERANCE = 0.2

/** The largest healthy distance of an artifact's outputs from those of another machine. */
internal fun tolerance(precision: String): Double =
    if (precision == "fp32" || precision == "fp16") EXACT_TOLERANCE else QUANTIZED_TOLERANCE

/** The input of runtime_bench/inputs.py: ids uniform over the vocabulary, no padding, one text. */
private fun goldenInput(model: ModelFacts, length: Int, seed: Int): Tokens = Tokens(
    ids = RandomNumbers(seed, length).integers(model.vocabSize, length),
    mask = IntArray(length) { 1 },
    types = IntArray(length),
)

/** An entry as the run record holds it (runtime_bench/header.py). */
private fun entryDocument(
    choice: Choice,
    id: String,
    label: String,
    role: String,
    lengths: List<Int>,
): JsonObject = buildJsonObject {
    val bundle = choice.bundle
    val artifact = choice.artifact
    val labels = labelCount(bundle)
    put("id", id)
    put("label", label)
    put("roles", texts(listOf(role)))
    put("target", artifact.target)
    putJsonObject("bundle") {
        put("folder", bundle.folder.name)
        put("recipe", bundle.recipe)
        put("model", modelDocument(bundle.model, labels))
    }
    putJsonObject("artifact") {
        put("path", artifact.path)
        put("flavour", artifact.flavour)
        put("precision", artifact.precision)
        put("bytes", artifact.files.sumOf { it.bytes })
        put("sha256", artifact.sha256)
        put("fingerprint", artifact.fingerprint)
        put("files", JsonArray(artifact.files.map(::fileDocument)))
        put("accuracy", accuracy(bundle, artifact))
    }
    putJsonObject("nominal_flops") {
        for (length in lengths) put("$length", nominalFlops(bundle.model, labels, length))
    }
}

private fun modelDocument(model: ModelFacts, labels: Int) = buildJsonObject {
    put("source", model.source)
    put("source_hash", model.sourceHash)
    put("architecture", model.architecture)
    put("family", model.family)
    put("task", model.task)
    put("trained", model.trained)
    put("vocab_size", model.vocabSize)
    put("max_positions", model.maxPositions)
    put("layers", model.layers)
    put("hidden_size", model.hiddenSize)
    put("heads", model.heads)
    put("intermediate_size", model.intermediateSize)
    put("groups", JsonObject(model.groups.mapValues { JsonPrimitive(it.value) }))
    put("label_count", labels)
}

internal fun fileDocument(file: StoredFile) = buildJsonObject {
    put("path", file.path)
    put("bytes", file.bytes)
    put("sha256", file.sha256)
}

/** Names of the answer, or the last axis of an output where there are none. */
private fun labelCount(bundle: Bundle): Int = bundle.labels.size.takeIf { it > 0 }
    ?: bundle.artifacts.flatMap { it.outputs }.firstNotNullOfOrNull { output ->
        output.shape.lastOrNull()?.takeIf { it >= 0 }
    } ?: 0

/** What the manifest says of the artifact's accuracy. */
private fun accuracy(bundle: Bundle, artifact: Artifact): JsonElement {
    val artifacts = bundle.document["artifacts"] as? JsonArray ?: return JsonNull
    val found = artifacts.filterIsInstance<JsonObject>()
        .firstOrNull { it["path"] == JsonPrimitive(artifact.path) }
    return found?.get("accuracy") ?: JsonNull
}
