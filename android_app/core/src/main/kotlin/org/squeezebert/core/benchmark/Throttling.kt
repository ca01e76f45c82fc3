package org.squeezebert.core.benchmark

import kotlin.math.roundToInt

// The limits of runtime_bench/throttling.py, whose reasons stand there.
internal const val SLOWER_LIMIT = 0.08
internal const val CLOCK_LIMIT = 0.08
internal const val THERMAL_LIMIT = 2

/**
 * How fast the phone is at one moment.
 *
 * @property referenceNanos time of the reference product.
 * @property khz the fastest clock after the blocks of each entry; 0 where it is not told.
 */
internal class Pace(val referenceNanos: Long?, val khz: Map<String, Int>)

/** The pace of a round: the clocks are those right after each block, while the core is awake. */
internal fun paceOf(round: Round): Pace = Pace(
    round.values.firstNotNullOfOrNull { it.referenceNanos },
    round.mapValues { (_, block) -> block.khzAfter.maxOrNull() ?: 0 },
)

/**
 * Why a round at the pace [now] is not to be trusted; null where it is.
 *
 * [atRest]: rounds from when the run began, which tell how fast the phone can be.
 */
internal fun slowed(atRest: List<Round>, now: Pace, thermalStatus: Int?): String? {
    if (thermalStatus != null && thermalStatus >= THERMAL_LIMIT) {
        return "the thermal status is $thermalStatus"
    }
    val paces = atRest.map(::paceOf)
    val fastest = paces.mapNotNull { it.referenceNanos }.minOrNull()
    if (fastest != null && now.referenceNanos != null) {
        val loss = now.referenceNanos.toDouble() / fastest - 1
        if (loss > SLOWER_LIMIT) {
            return "the matrix product took ${percent(loss)} longer than at first"
        }
    }
    for ((entry, khz) in now.khz) {
        val first = paces.maxOfOrNull { it.khz[entry] ?: 0 } ?: 0
        if (khz == 0 || first == 0) continue
        val drop = 1 - khz.toDouble() / first
        if (drop > CLOCK_LIMIT) {
            return "the fastest core ran ${percent(drop)} below its first clock"
        }
    }
    return null
}

private fun percent(share: Double) = "${(100 * share).roundToInt()}%"
