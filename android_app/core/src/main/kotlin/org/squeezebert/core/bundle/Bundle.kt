package org.squeezebert.core.bundle

import java.io.File
import kotlinx.serialization.json.JsonObject

/** A folder made by `squeezebert-export build`, as its manifest describes it. */
class Bundle(
    val folder: File,
    val recipe: String,
    val model: ModelFacts,
    /** Names of the outputs of a classifier in the model's order; empty for other tasks. */
    val labels: List<String>,
    val files: List<StoredFile>,
    val artifacts: List<Artifact>,
    /** The whole manifest. */
    val document: JsonObject,
) {
    /** Short and for people: the last part of where the model came from. */
    val name: String get() = model.source.substringAfterLast('/').substringAfterLast(':')

    /** Whether the model reads a premise and a hypothesis; other models may take one text. */
    val readsPairs: Boolean get() = labels.any { it.equals("entailment", ignoreCase = true) }
}

/** The manifest's `model`: names, sizes and groups. */
data class ModelFacts(
    val source: String,
    val sourceHash: String?,
    val architecture: String,
    val family: String,
    val task: String,
    val trained: Boolean,
    val parameters: Long,
    val vocabSize: Int,
    val maxLength: Int,
    val maxPositions: Int,
    val layers: Int,
    val hiddenSize: Int,
    val intermediateSize: Int,
    val heads: Int,
    val groups: Map<String, Int>,
)

/** One exported model of a bundle. [path] of the main file is relative to the bundle's folder. */
data class Artifact(
    val path: String,
    val target: String,
    val flavour: String,
    val precision: String,
    val bytes: Long,
    val sha256: String,
    val fingerprint: String?,
    /** The first is the main file. */
    val files: List<StoredFile>,
    val inputs: List<TensorSpec>,
    val outputs: List<TensorSpec>,
)

/** A file of a bundle; [path] is relative, with forward slashes. */
data class StoredFile(val path: String, val bytes: Long, val sha256: String)

/** Name, element type ("int64", "float32") and shape of an input or output; -1 is any size. */
data class TensorSpec(val name: String, val dtype: String, val shape: List<Int>)
