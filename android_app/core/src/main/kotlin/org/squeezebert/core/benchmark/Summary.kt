package org.squeezebert.core.benchmark

import kotlin.math.roundToLong
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.squeezebert.core.UserError

/**
 * One model in one case. Times are of single inferences in nanoseconds, null where none counts.
 *
 * @property role "subject" or "baseline".
 * @property ratio against the first baseline; null for that one, and where nothing can be paired.
 * @property failure why the model left the run; null where it did not.
 */
class Row(
    val label: String,
    val role: String,
    val length: Int,
    val threads: Int,
    val medianNanos: Long?,
    val p90Nanos: Long?,
    val samples: Int,
    val ratio: Ratio?,
    val failure: String?,
)

/**
 * The rows of a run, case by case (threads outermost), in the order of its entries.
 *
 * The medians, percentiles and intervals are those that the report of runtime_bench gives for the
 * same records. Rounds that were left out do not count. A row has neither samples nor a failure
 * where the run has not come that far. Throws [UserError] where [records] are no run's.
 */
fun summarize(records: List<JsonObject>): List<Row> {
    val known = Records(records)
    return known.run?.let { run -> understood { rows(known, run) } }.orEmpty()
}

/**
 * How the run of [records] ended. One that has no end after it began, or went on, was cancelled, by
 * the user or by what ended its process. Throws [UserError] where [records] are no run's.
 */
fun outcomeOf(records: List<JsonObject>): Outcome {
    val known = Records(records)
    val last = records.lastOrNull { it.kind in setOf("run", "resume", "end") }
    return Outcome(known.failures.keys.sorted(), cancelled = last?.kind != "end")
}

private fun rows(known: Records, run: JsonObject): List<Row> {
    val entries = run.getValue("entries").jsonArray.map { entryOf(it.jsonObject) }
    val first = entries.firstOrNull { it.baseline }
    val counted = known.counted().groupBy { it.case to it.entry }
    return values(run, "threads").flatMap { threads ->
        values(run, "lengths").flatMap { length ->
            val case = Case(length, threads)
            entries.map { entry ->
                val blocks = counted[case to entry.id].orEmpty()
                val wall = samples(blocks)
                val sorted = wall.values.flatMap { it.toList() }.sorted().toDoubleArray()
                val other = first?.takeIf { it.id != entry.id }
                    ?.let { samples(counted[case to it.id].orEmpty()) }
                Row(
                    label = entry.label,
                    role = if (entry.baseline) "baseline" else "subject",
                    length = length,
                    threads = threads,
                    medianNanos = percentile(sorted, 0.5),
                    p90Nanos = percentile(sorted, 0.9),
                    samples = sorted.size,
                    ratio = other?.let { ratio(it, wall) },
                    failure = known.failures[entry.id],
                )
            }
        }
    }
}

private class EntryFacts(val id: String, val label: String, val baseline: Boolean)

private fun entryOf(document: JsonObject): EntryFacts {
    val roles = document.getValue("roles").jsonArray.map { it.jsonPrimitive.content }
    return EntryFacts(document.text("id"), document.text("label"), "baseline" in roles)
}

private fun values(run: JsonObject, name: String): List<Int> =
    run.getValue(name).jsonArray.map { it.jsonPrimitive.int }

private fun percentile(sorted: DoubleArray, share: Double): Long? =
    if (sorted.isEmpty()) null else (quantile(sorted, share) / MILLISECONDS).roundToLong()
