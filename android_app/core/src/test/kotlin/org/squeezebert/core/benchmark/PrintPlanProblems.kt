package org.squeezebert.core.benchmark

import java.io.File
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonArray
import org.squeezebert.core.UserError

/** Prints why each plan of a JSON array in a file cannot be used, as JSON; null where it can. */
fun main(arguments: Array<String>) {
    val plans = Json.parseToJsonElement(File(arguments[0]).readText()).jsonArray
    println(JsonArray(plans.map { JsonPrimitive(problem(it.toString())) }))
}

private fun problem(plan: String): String? = try {
    readPlan(plan)
    null
} catch (error: UserError) {
    error.reason
}
