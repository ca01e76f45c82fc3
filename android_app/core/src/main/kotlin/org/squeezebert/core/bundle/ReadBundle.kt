package org.squeezebert.core.bundle

import java.io.File
import java.io.IOException
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.intOrNull
import org.squeezebert.core.UserError

/** The name of a bundle's table of contents. */
const val MANIFEST_NAME = "manifest.json"

/** The only version of the manifest that this code reads. */
const val BUNDLE_SCHEMA = "squeezebert-bundle/1"

/** An axis of a [TensorSpec] that may have any size. */
const val ANY_SIZE = -1

/**
 * Reads the manifest of the bundle in [folder]; its other files are not looked at ([checkFiles]).
 *
 * Throws [UserError] where there is no manifest, where it is no JSON, has another schema than
 * [BUNDLE_SCHEMA], lacks a field, contradicts itself or names a file outside of the folder. Fields
 * that are not known are ignored.
 */
fun readBundle(folder: File): Bundle {
    val file = File(folder, MANIFEST_NAME)
    if (!file.isFile) {
        throw UserError(
            "${folder.name} is no bundle: it has no $MANIFEST_NAME.",
            "Choose a folder or a zip file of a folder that squeezebert-export has built.",
        )
    }
    val content = try {
        file.readBytes()
    } catch (error: IOException) {
        throw UserError("$MANIFEST_NAME cannot be read.", "Import the bundle again.", error)
    }
    return parseManifest(folder, content)
}

/** The bundle that lies, or is going to lie, in [folder], by the [content] of its manifest. */
internal fun parseManifest(folder: File, content: ByteArray): Bundle = try {
    bundleFrom(folder, parseObject(content))
} catch (problem: JsonProblem) {
    throw UserError(
        "$MANIFEST_NAME of ${folder.name} cannot be read: ${problem.message}.",
        "Build the bundle again with this app's version of squeezebert-export and import it.",
        problem,
    )
}

/** A JSON object in UTF-8; a [JsonProblem] where [content] is none. */
internal fun parseObject(content: ByteArray): JsonObject {
    val element = try {
        Json.parseToJsonElement(content.decodeToString(throwOnInvalidSequence = true))
    } catch (error: CharacterCodingException) {
        throw JsonProblem("it is not UTF-8").apply { initCause(error) }
    } catch (error: SerializationException) {
        throw JsonProblem("it is not JSON").apply { initCause(error) }
    }
    return element as? JsonObject ?: throw JsonProblem("it is no JSON object")
}

private fun bundleFrom(folder: File, document: JsonObject): Bundle {
    val fields = JsonFields(document)
    val schema = fields.text("schema")
    if (schema != BUNDLE_SCHEMA) {
        throw JsonProblem("its schema is \"$schema\", this app reads \"$BUNDLE_SCHEMA\"")
    }
    return Bundle(
        folder = folder,
        recipe = fields.text("recipe"),
        model = modelFrom(fields.fields("model")),
        labels = if (fields.isAbsent("labels")) emptyList() else fields.texts("labels"),
        files = fields.objects("files").map(::fileFrom),
        artifacts = fields.objects("artifacts").map(::artifactFrom),
        document = document,
    )
}

private fun modelFrom(fields: JsonFields) = ModelFacts(
    source = fields.text("source"),
    sourceHash = fields.textOrNull("source_hash"),
    architecture = fields.text("architecture"),
    family = fields.text("family"),
    task = fields.text("task"),
    trained = fields.flag("trained"),
    parameters = fields.size("parameters"),
    vocabSize = fields.count("vocab_size"),
    maxLength = fields.count("max_length"),
    maxPositions = fields.count("max_positions"),
    layers = fields.count("layers"),
    hiddenSize = fields.count("hidden_size"),
    intermediateSize = fields.count("intermediate_size"),
    heads = fields.count("heads"),
    groups = fields.fields("groups").let { groups -> LAYERS.associateWith(groups::count) },
)

private fun fileFrom(fields: JsonFields) =
    StoredFile(pathFrom(fields, "path"), fields.size("bytes"), hashFrom(fields, "sha256"))

private fun artifactFrom(fields: JsonFields): Artifact {
    val artifact = Artifact(
        path = pathFrom(fields, "path"),
        target = fields.text("target"),
        flavour = fields.text("flavour"),
        precision = fields.text("precision"),
        bytes = fields.size("bytes"),
        sha256 = hashFrom(fields, "sha256"),
        fingerprint = fields.textOrNull("fingerprint"),
        files = fields.objects("files").map(::fileFrom),
        inputs = fields.objects("inputs").map(::tensorFrom),
        outputs = fields.objects("outputs").map(::tensorFrom),
    )
    // What is hashed must be what is opened: the file at the path, or the package there.
    val main = artifact.files.firstOrNull()?.path
        ?: throw JsonProblem("${artifact.path} has no files")
    if (main != artifact.path && !main.startsWith("${artifact.path}/")) {
        throw JsonProblem("the files of ${artifact.path} begin with $main")
    }
    if (main == artifact.path && artifact.files.first().sha256 != artifact.sha256) {
        throw JsonProblem("sha256 of ${artifact.path} is not that of its first file")
    }
    return artifact
}

private fun tensorFrom(fields: JsonFields) = TensorSpec(
    name = fields.text("name"),
    dtype = fields.text("dtype"),
    shape = fields.array("shape").mapIndexed { index, axis ->
        val size = axis as? JsonPrimitive
            ?: throw JsonProblem("${fields.place("shape")}[$index] is no size")
        // A text names an axis that is not fixed.
        if (size.isString) ANY_SIZE else size.intOrNull
            ?: throw JsonProblem("${fields.place("shape")}[$index] is no size")
    },
)

/** A path that stays inside of the bundle: others would be read, written or removed. */
private fun pathFrom(fields: JsonFields, name: String): String {
    val path = fields.text(name)
    if (!isInside(path)) throw JsonProblem("${fields.place(name)} \"$path\" leaves the bundle")
    return path
}

/** Whether the relative [path], with forward slashes, names something below a folder. */
internal fun isInside(path: String): Boolean {
    if ('\\' in path || '\u0000' in path) return false
    return path.split('/').none { it.isEmpty() || it == "." || it == ".." }
}

private fun hashFrom(fields: JsonFields, name: String): String {
    val hash = fields.text(name)
    if (hash.length != HASH_DIGITS || hash.any { it !in '0'..'9' && it !in 'a'..'f' }) {
        throw JsonProblem("${fields.place(name)} is no SHA-256 of $HASH_DIGITS hexadecimal digits")
    }
    return hash
}

private const val HASH_DIGITS = 64

/** The products of an encoder layer that may be grouped, as in runtime_bench/flops.py. */
private val LAYERS = listOf("query", "key", "value", "post_attention", "intermediate", "output")
