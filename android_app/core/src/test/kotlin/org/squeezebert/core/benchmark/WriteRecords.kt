package org.squeezebert.core.benchmark

import java.io.File
import kotlin.math.max
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import org.squeezebert.core.engine.Tensor

/**
 * Runs a plan on a made-up phone: PLAN RECORDS [INFERENCES [SLOW_FROM SLOW_TO]].
 *
 * The records are appended to RECORDS, after what it holds. After so many INFERENCES (0: never) the
 * run is cancelled. Between the seconds SLOW_FROM and SLOW_TO the clocks are lower, and everything
 * takes half as long again.
 * Models answer what the plan expects. Prints the summary of all records as JSON.
 */
fun main(arguments: Array<String>) {
    val plan = readPlan(File(arguments[0]).readText())
    val file = RecordFile(File(arguments[1]))
    val limit = arguments.getOrNull(2)?.toInt() ?: 0
    val slow = arguments.drop(3).map { it.toDouble() }
    val phone = FakePhone()
    if (slow.isNotEmpty()) {
        val slows = { now: Long -> now / 1e9 in slow[0]..slow[1] }
        phone.slowness = { now -> if (slows(now)) 1.5 else 1.0 }
        phone.khz = { now -> if (slows(now)) 1_333_333 else 2_000_000 }
    }
    val engine = FakeEngine(phone)
    val noise = RandomNumbers(1)
    val folders = plan.entries.associate { it.id to File(it.bundle) }
    val owners = plan.entries.associateBy {
        File(folders.getValue(it.id), it.artifact.files.first().path)
    }
    engine.nanos = { model, input ->
        val place = plan.entries.indexOf(owners.getValue(model)) + 1
        (max(1, input.length) * 20_000L * place * (1 + 0.05 * noise.nextDouble())).toLong()
    }
    engine.answer = { model, input ->
        owners.getValue(model).expected?.getValue(input.length).orEmpty().map { (name, output) ->
            val values = FloatArray(output.values.size) { output.values[it].toFloat() }
            Tensor(name, output.shape.toLongArray(), values)
        }
    }
    val cancelled = { limit > 0 && engine.inferences >= limit }
    Benchmark(plan, phone, listOf(engine), folders::getValue, file::append, {}, cancelled)
        .run(file.read()) { phone.compute(REFERENCE_NANOS) }
    println(JsonArray(summarize(file.read()).map(::document)))
}

private fun document(row: Row): JsonObject = buildJsonObject {
    put("label", row.label)
    put("role", row.role)
    put("length", row.length)
    put("threads", row.threads)
    put("median", row.medianNanos)
    put("p90", row.p90Nanos)
    put("samples", row.samples)
    put("value", row.ratio?.value)
    put("low", row.ratio?.low)
    put("high", row.ratio?.high)
    put("verdict", row.ratio?.verdict)
    put("failure", row.failure)
}
