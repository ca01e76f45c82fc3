package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import org.squeezebert.core.engine.MEMORY_FACTOR

/** Prints every figure of the protocol by the name that it has in runtime_bench, as JSON. */
fun main() {
    val constants = buildJsonObject {
        put("protocol.OUTPUT_VALUES", OUTPUT_VALUES)
        put("protocol.WARM_UP_WINDOW", WARM_UP_WINDOW)
        put("protocol.WARM_UP_TOLERANCE", WARM_UP_TOLERANCE)
        put("protocol.WARM_UP_SECONDS", WARM_UP_SECONDS)
        put("protocol.LEAD_IN_SECONDS", LEAD_IN_SECONDS)
        put("schedule.START_LENGTH", START_LENGTH)
        put("schedule.PAUSE_STEP", PAUSE_STEP)
        put("schedule.MOST_PAUSES", MOST_PAUSES)
        put("throttling.CLOCK_LIMIT", CLOCK_LIMIT)
        put("throttling.THERMAL_LIMIT", THERMAL_LIMIT)
        put("statistics.CONFIDENCE", CONFIDENCE)
        put("statistics.RESAMPLES", RESAMPLES)
        put("statistics.MINIMUM_ROUNDS", MINIMUM_ROUNDS)
        put("stability.INTERVAL_LIMIT", INTERVAL_LIMIT)
        put("right_answers.EXACT_TOLERANCE", EXACT_TOLERANCE)
        put("right_answers.QUANTIZED_TOLERANCE", QUANTIZED_TOLERANCE)
        put("gates.MEMORY_FACTOR", MEMORY_FACTOR)
        put("records.SCHEMA", RECORD_SCHEMA)
        put("clusters._LITTLE_PARTS", sorted(Clusters.LITTLE_PARTS))
        put("clusters._PRIME_PARTS", sorted(Clusters.PRIME_PARTS))
        put("settings", Settings().document())
    }
    println(constants)
}

private fun sorted(values: Set<String>) = JsonArray(values.sorted().map(::JsonPrimitive))
