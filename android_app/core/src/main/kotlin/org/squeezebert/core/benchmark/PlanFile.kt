package org.squeezebert.core.benchmark

import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.double
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.StoredFile
import org.squeezebert.core.bundle.TensorSpec
import org.squeezebert.core.engine.Tokens

/**
 * Reads a plan file's text ("squeezebert-app-plan/1", runtime_bench/schema/app_plan.schema.json).
 *
 * Throws [UserError] where it is no such plan, lacks something, names a path outside of its own
 * folder, or cannot be measured by an app.
 */
fun readPlan(json: String): BenchmarkPlan {
    try {
        val document = Json.parseToJsonElement(json).jsonObject
        val schema = document["schema"]?.jsonPrimitive?.contentOrNull
        require(schema == PLAN_SCHEMA) { "its schema is $schema, this app reads $PLAN_SCHEMA" }
        return planOf(document)
    } catch (error: SerializationException) {
        throw wrong("it is no JSON", error)
    } catch (error: IllegalArgumentException) { // a require, a number's format, another element
        throw wrong(error.message.orEmpty(), error)
    } catch (error: NoSuchElementException) {
        throw wrong(error.message.orEmpty(), error)
    }
}

private fun wrong(what: String, cause: Exception) = UserError(
    "The plan cannot be used: ${what.lineSequence().first().trimEnd('.')}.",
    "Make it again with the squeezebert-bench that belongs to this app.",
    cause,
)

private fun planOf(document: JsonObject): BenchmarkPlan {
    val lengths = ascending(document, "lengths")
    val settings = settingsOf(document.getValue("settings").jsonObject)
    settings.check()
    val entries = document.getValue("entries").jsonArray.map {
        entryOf(it.jsonObject, document, lengths)
    }
    require(entries.isNotEmpty()) { "it has no entries" }
    require(entries.distinctBy { it.id }.size == entries.size) { "two entries have one id" }
    return BenchmarkPlan(
        command = texts(document, "command"),
        device = document.text("device"),
        entries = entries,
        lengths = lengths,
        threads = ascending(document, "threads"),
        settings = settings,
        warnings = document.getValue("warnings").jsonArray.map { it.jsonObject },
        notices = texts(document, "notices"),
    )
}

private fun settingsOf(document: JsonObject) = Settings(
    blocks = document.int("blocks"),
    mostBlocks = document.int("most_blocks"),
    intervalGoal = document.number("interval_goal"),
    secondsPerBlock = document.number("seconds_per_block"),
    minimumIterations = document.int("minimum_iterations"),
    warmUpLimit = document.number("warm_up_limit"),
    stepLimit = document.number("step_limit"),
    cores = document.text("cores"),
    starts = document.int("starts"),
    pauseLimit = document.number("pause_limit"),
    seed = document.int("seed"),
)

private fun entryOf(entry: JsonObject, plan: JsonObject, lengths: List<Int>): PlanEntry {
    val id = entry.text("id")
    val roles = texts(entry, "roles")
    require(roles.isNotEmpty() && roles.all { it == "subject" || it == "baseline" }) {
        "the entry $id has the roles $roles"
    }
    fun own(member: String) = plan.getValue(member).jsonObject[id]
    fun needed(member: String) = requireNotNull(own(member)) { "$member lacks the entry $id" }
    val inputs = needed("inputs").jsonObject
    val expected = own("expected")?.jsonObject
    return PlanEntry(
        id = id,
        label = entry.text("label"),
        roles = roles,
        bundle = inside(needed("bundles").jsonPrimitive.content),
        artifact = artifactOf(entry, needed("tensors").jsonObject),
        inputs = lengths.associateWith { tokensOf(inputs.ofLength(it, "inputs of $id"), it) },
        expected = expected?.let { known ->
            lengths.associateWith { outputsOf(known.ofLength(it, "expected outputs of $id")) }
        },
        tolerance = needed("tolerances").jsonPrimitive.double,
        document = entry,
    )
}

private fun artifactOf(entry: JsonObject, tensors: JsonObject): Artifact {
    val artifact = entry.getValue("artifact").jsonObject
    val files = artifact.getValue("files").jsonArray.map { element ->
        val file = element.jsonObject
        val size = file.getValue("bytes").jsonPrimitive.long
        require(size >= 0) { "a file has $size bytes" }
        StoredFile(inside(file.text("path")), size, file.text("sha256"))
    }
    require(files.isNotEmpty()) { "an artifact has no files" }
    return Artifact(
        path = inside(artifact.text("path")),
        target = entry.text("target"),
        flavour = artifact.text("flavour"),
        precision = artifact.text("precision"),
        bytes = artifact.getValue("bytes").jsonPrimitive.long,
        sha256 = artifact.text("sha256"),
        fingerprint = artifact.getValue("fingerprint").jsonPrimitive.contentOrNull,
        files = files,
        inputs = tensors.getValue("inputs").jsonArray.map(::tensorOf),
        outputs = tensors.getValue("outputs").jsonArray.map(::tensorOf),
    )
}

/** A named axis is dynamic: -1. */
private fun tensorOf(element: JsonElement): TensorSpec {
    val tensor = element.jsonObject
    val shape = tensor.getValue("shape").jsonArray.map {
        if (it.jsonPrimitive.isString) -1 else it.jsonPrimitive.int
    }
    return TensorSpec(tensor.text("name"), tensor.text("dtype"), shape)
}

/** Values are repeated until they fill the shape. Without a mask nothing is padding. */
private fun tokensOf(inputs: JsonObject, length: Int): Tokens {
    fun filled(name: String): IntArray? = inputs[name]?.jsonObject?.let { input ->
        val shape = input.getValue("shape").jsonArray.map { it.jsonPrimitive.int }
        require(shape == listOf(1, length)) { "$name has the shape $shape at length $length" }
        val values = input.getValue("values").jsonArray.map { it.jsonPrimitive.int }
        require(values.isNotEmpty()) { "$name has no values" }
        IntArray(length) { values[it % values.size] }
    }
    val unknown = inputs.keys - setOf("input_ids", "attention_mask", "token_type_ids")
    require(unknown.isEmpty()) { "the input ${unknown.first()} is unknown" }
    return Tokens(
        ids = requireNotNull(filled("input_ids")) { "there are no input_ids" },
        mask = filled("attention_mask") ?: IntArray(length) { 1 },
        types = filled("token_type_ids") ?: IntArray(length),
    )
}

private fun outputsOf(outputs: JsonObject): Outputs = outputs.mapValues { (_, element) ->
    val output = element.jsonObject
    Output(
        output.getValue("shape").jsonArray.map { it.jsonPrimitive.long },
        output.getValue("values").jsonArray.map { it.jsonPrimitive.double }.toDoubleArray(),
    )
}

private fun ascending(document: JsonObject, name: String): List<Int> {
    val values = document.getValue(name).jsonArray.map { it.jsonPrimitive.int }
    require(values.isNotEmpty() && values.first() >= 1 && values == values.toSortedSet().toList()) {
        "$name are $values, not ascending numbers above zero"
    }
    return values
}

/** [path], which stays in the folder it is relative to. */
private fun inside(path: String): String {
    val parts = path.split('/')
    val outside = '\\' in path || ':' in path || parts.any { it.isEmpty() || it == ".." }
    require(!outside) { "the path \"$path\" leaves its folder" }
    return path
}

private fun texts(document: JsonObject, name: String): List<String> =
    document.getValue(name).jsonArray.map { it.jsonPrimitive.content }

private fun JsonObject.number(name: String): Double = getValue(name).jsonPrimitive.double

private fun JsonObject.ofLength(length: Int, what: String): JsonObject =
    requireNotNull(this["$length"]) { "the $what lack the length $length" }.jsonObject
