package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.intOrNull
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.JsonFields
import org.squeezebert.core.bundle.JsonProblem
import org.squeezebert.core.bundle.StoredFile
import org.squeezebert.core.bundle.TensorSpec
import org.squeezebert.core.bundle.isInside
import org.squeezebert.core.bundle.parseObject
import org.squeezebert.core.engine.Tokens

/**
 * Reads a plan file's text ("squeezebert-app-plan/1", runtime_bench/schema/app_plan.schema.json).
 *
 * Throws [UserError] where it is no such plan, lacks something or has more, names a path outside of
 * its own folder, or cannot be measured by an app.
 */
fun readPlan(json: String): BenchmarkPlan = try {
    val plan = JsonFields(parseObject(json.toByteArray()))
    val schema = plan.text("schema")
    require(schema == PLAN_SCHEMA) { "its schema is $schema, this app reads $PLAN_SCHEMA" }
    plan.requireExactly(MEMBERS)
    planOf(plan)
} catch (problem: JsonProblem) {
    throw UserError(
        "The plan cannot be used: ${problem.message}.",
        "Make it again with the squeezebert-bench that belongs to this app.",
        problem,
    )
}

private fun planOf(plan: JsonFields): BenchmarkPlan {
    val lengths = ascending(plan, "lengths")
    val settings = settingsOf(plan.fields("settings"))
    settings.check()
    val entries = plan.objects("entries")
    val ids = entries.map { it.text("id") }
    require(entries.isNotEmpty()) { "it has no entries" }
    require(ids.distinct().size == ids.size) { "two entries have one id" }
    // Files are copied to folders of these names.
    ids.firstOrNull { !ID.matches(it) }?.let { throw JsonProblem("\"$it\" is no id of an entry") }
    for (member in listOf("bundles", "tensors", "inputs", "tolerances")) {
        plan.fields(member).requireExactly(ids)
    }
    val expected = plan.fields("expected")
    expected.requireExactly(ids.filter { it in expected.value })
    val device = plan.text("device")
    require(DEVICE.matches(device)) { "its device is $device" }
    return BenchmarkPlan(
        command = plan.texts("command"),
        device = device,
        entries = entries.map { entryOf(it, plan, lengths) },
        lengths = lengths,
        threads = ascending(plan, "threads"),
        settings = settings,
        warnings = plan.objects("warnings").onEach(::checkWarning).map { it.value },
        notices = plan.texts("notices"),
    )
}

private fun settingsOf(fields: JsonFields): Settings {
    fields.requireExactly(Settings().document().keys)
    return Settings(
        blocks = fields.integer("blocks"),
        mostBlocks = fields.integer("most_blocks"),
        intervalGoal = fields.number("interval_goal"),
        secondsPerBlock = fields.number("seconds_per_block"),
        minimumIterations = fields.integer("minimum_iterations"),
        warmUpLimit = fields.number("warm_up_limit"),
        stepLimit = fields.number("step_limit"),
        cores = fields.text("cores"),
        starts = fields.integer("starts"),
        pauseLimit = fields.number("pause_limit"),
        seed = fields.integer("seed"),
    )
}

private fun entryOf(entry: JsonFields, plan: JsonFields, lengths: List<Int>): PlanEntry {
    entry.requireExactly(ENTRY_MEMBERS)
    // For the record alone.
    listOf("bundle", "nominal_flops").forEach(entry::fields)
    val id = entry.text("id")
    val roles = entry.texts("roles")
    require(roles.isNotEmpty() && roles.all { it == "subject" || it == "baseline" }) {
        "the entry $id has the roles $roles"
    }
    val names = lengths.map(Int::toString)
    val inputs = plan.fields("inputs").fields(id).apply { requireExactly(names) }
    val expected = plan.fields("expected").takeIf { id in it.value }?.fields(id)
        ?.apply { requireExactly(names) }
    val tolerance = plan.fields("tolerances").number(id)
    require(tolerance > 0) { "the tolerance of $id is not above zero" }
    return PlanEntry(
        id = id,
        label = entry.text("label"),
        roles = roles,
        bundle = inside(plan.fields("bundles"), id),
        artifact = artifactOf(entry, plan.fields("tensors").fields(id)),
        inputs = lengths.associateWith { tokensOf(inputs.fields("$it"), it) },
        expected = expected?.let { known ->
            lengths.associateWith { outputsOf(known.fields("$it")) }
        },
        tolerance = tolerance,
        document = entry.value,
    )
}

private fun artifactOf(entry: JsonFields, tensors: JsonFields): Artifact {
    tensors.requireExactly(listOf("inputs", "outputs"))
    val artifact = entry.fields("artifact")
    val files = artifact.objects("files").map {
        StoredFile(inside(it, "path"), it.size("bytes"), it.text("sha256"))
    }
    require(files.isNotEmpty()) { "an artifact has no files" }
    return Artifact(
        path = inside(artifact, "path"),
        target = entry.text("target"),
        flavour = artifact.text("flavour"),
        precision = artifact.text("precision"),
        bytes = artifact.size("bytes"),
        sha256 = artifact.text("sha256"),
        fingerprint = artifact.textOrNull("fingerprint"),
        files = files,
        inputs = specsOf(tensors, "inputs"),
        outputs = specsOf(tensors, "outputs"),
    )
}

private fun specsOf(tensors: JsonFields, name: String): List<TensorSpec> {
    val specs = tensors.objects(name)
    require(specs.isNotEmpty()) { "${tensors.place(name)} are none" }
    return specs.map(::specOf)
}

/** A named axis is dynamic: -1. */
private fun specOf(spec: JsonFields): TensorSpec {
    spec.requireExactly(listOf("name", "dtype", "shape"))
    val dtype = spec.text("dtype")
    require(dtype in DTYPES) { "${spec.place("dtype")} is $dtype" }
    val shape = spec.array("shape").map { axis ->
        val size = axis as? JsonPrimitive
        if (size?.isString == true) -1 else size?.intOrNull
            ?: throw JsonProblem("${spec.place("shape")} holds $axis")
    }
    return TensorSpec(spec.text("name"), dtype, shape)
}

/** Values are repeated until they fill the shape. Without a mask nothing is padding. */
private fun tokensOf(inputs: JsonFields, length: Int): Tokens {
    val names = inputs.value.keys + "input_ids"
    inputs.requireExactly(names intersect INPUTS)
    fun filled(name: String): IntArray? {
        if (name !in names) return null
        val input = inputs.fields(name)
        input.requireExactly(listOf("dtype", "shape", "values"))
        input.text("dtype")
        val shape = input.integerList("shape")
        require(shape == listOf(1, length)) { "$name has the shape $shape at length $length" }
        val values = input.integerList("values")
        require(values.isNotEmpty()) { "$name has no values" }
        return IntArray(length) { values[it % values.size] }
    }
    return Tokens(
        ids = checkNotNull(filled("input_ids")),
        mask = filled("attention_mask") ?: IntArray(length) { 1 },
        types = filled("token_type_ids") ?: IntArray(length),
    )
}

private fun outputsOf(outputs: JsonFields): Outputs {
    require(outputs.value.isNotEmpty()) { "an expected answer has no outputs" }
    return outputs.value.keys.associateWith { name ->
        val output = outputs.fields(name)
        output.requireExactly(listOf("shape", "values"))
        val shape = output.integerList("shape")
        require(shape.all { it >= 0 }) { "$name has the shape $shape" }
        Output(shape.map(Int::toLong), output.numbers("values").toDoubleArray())
    }
}

private fun checkWarning(warning: JsonFields) {
    val texts = listOf("code", "message", "remedy")
    texts.forEach(warning::text)
    val blocking = listOf("blocking").filter { it in warning.value }
    blocking.forEach(warning::flag)
    warning.requireExactly(texts + blocking)
}

private fun ascending(plan: JsonFields, name: String): List<Int> {
    val values = plan.integerList(name)
    require(values.isNotEmpty() && values.first() >= 1 && values == values.toSortedSet().toList()) {
        "$name are $values, not ascending numbers above zero"
    }
    return values
}

/** The path [name], which stays in the folder it is relative to. */
private fun inside(fields: JsonFields, name: String): String {
    val path = fields.text(name)
    require(isInside(path)) { "the path \"$path\" leaves its folder" }
    return path
}

private inline fun require(condition: Boolean, problem: () -> String) {
    if (!condition) throw JsonProblem(problem())
}

private val ID = Regex("[A-Za-z0-9][A-Za-z0-9._-]*")
private val DEVICE = Regex("app(:.+)?")
private val INPUTS = setOf("input_ids", "attention_mask", "token_type_ids")
private val DTYPES = setOf("int64", "int32", "float32")
private val ENTRY_MEMBERS =
    listOf("id", "label", "roles", "target", "bundle", "artifact", "nominal_flops")
private val MEMBERS = listOf(
    "schema", "command", "device", "entries", "bundles", "lengths", "threads", "settings",
    "tensors", "inputs", "expected", "tolerances", "warnings", "notices",
)
