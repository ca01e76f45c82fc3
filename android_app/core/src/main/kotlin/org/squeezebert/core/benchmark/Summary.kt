package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonObject

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

/** The rows of a run, case by case, in the order of its entries. Rounds left out do not count. */
fun summarize(records: List<JsonObject>): List<Row> =
    throw UnsupportedOperationException("${records.size} records")
