package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import org.squeezebert.core.bundle.TensorSpec
import org.squeezebert.core.engine.Tokens

/** The content of the plan's file, from which [readPlan] makes an equal plan. */
fun BenchmarkPlan.document(): JsonObject = buildJsonObject {
    put("schema", PLAN_SCHEMA)
    put("command", texts(command))
    put("device", device)
    put("entries", JsonArray(entries.map { it.document }))
    put("bundles", byEntry { JsonPrimitive(it.bundle) })
    put("lengths", numbers(lengths))
    put("threads", numbers(threads))
    put("settings", settings.document())
    put("tensors", byEntry(::tensors))
    put("inputs", byEntry { entry -> byLength(entry.inputs, ::inputs) })
    put(
        "expected",
        JsonObject(
            entries.filter { it.expected != null }
                .associate { it.id to byLength(it.expected.orEmpty(), ::outputs) },
        ),
    )
    put("tolerances", byEntry { JsonPrimitive(it.tolerance) })
    put("warnings", JsonArray(warnings))
    put("notices", texts(notices))
}

private fun BenchmarkPlan.byEntry(member: (PlanEntry) -> JsonElement) =
    JsonObject(entries.associate { it.id to member(it) })

private fun <T> byLength(values: Map<Int, T>, member: (T) -> JsonObject) =
    JsonObject(values.entries.associate { (length, value) -> "$length" to member(value) })

private fun tensors(entry: PlanEntry) = buildJsonObject {
    put("inputs", JsonArray(entry.artifact.inputs.map(::tensor)))
    put("outputs", JsonArray(entry.artifact.outputs.map(::tensor)))
}

private fun tensor(spec: TensorSpec) = buildJsonObject {
    put("name", spec.name)
    put("dtype", spec.dtype)
    // A dynamic axis has a name in a manifest, whose text tells nothing.
    val shape = spec.shape.map { if (it < 0) JsonPrimitive("any") else JsonPrimitive(it) }
    put("shape", JsonArray(shape))
}

private fun inputs(tokens: Tokens) = buildJsonObject {
    put("input_ids", input(tokens.ids))
    put("attention_mask", input(tokens.mask))
    put("token_type_ids", input(tokens.types))
}

private fun input(values: IntArray) = buildJsonObject {
    put("dtype", "int64")
    put("shape", numbers(listOf(1, values.size)))
    put("values", numbers(values.asList()))
}

private fun outputs(outputs: Outputs) = JsonObject(
    outputs.mapValues { (_, output) ->
        buildJsonObject {
            put("shape", numbers(output.shape))
            put("values", numbers(output.values.asList()))
        }
    },
)
