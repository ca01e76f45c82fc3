package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonObject

/**
 * How far a benchmark is.
 *
 * [text] says what happens now. [done] of [total] rounds are measured; [total] grows while the
 * interval of a ratio is still wide. [conditions] are the newest that the phone told (null: none),
 * [slowedDown] says why the last round is not to be trusted (null: it is).
 */
class Progress(
    val text: String,
    val done: Int,
    val total: Int,
    val conditions: JsonObject?,
    val slowedDown: String?,
)

/** How a benchmark ended: ids of the entries that [failed]; [cancelled] ones can go on later. */
class Outcome(val failed: List<String>, val cancelled: Boolean)
