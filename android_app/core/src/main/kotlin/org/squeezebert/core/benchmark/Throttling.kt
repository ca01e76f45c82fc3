package org.squeezebert.core.benchmark

import kotlin.math.roundToInt

// The limits of runtime_bench/throttling.py, whose reasons stand there. That of the matrix product
// holds for a runtime's; how far the one in Kotlin moves on a phone at rest nobody has measured, so
// that its time is only recorded.
internal const val CLOCK_LIMIT = 0.08
internal const val THERMAL_LIMIT = 2

/** The fastest clock in kHz right after each entry's block, while the core is awake; 0: untold. */
internal typealias Pace = Map<String, Int>

internal fun paceOf(round: Round): Pace =
    round.mapValues { (_, block) -> block.khzAfter.maxOrNull() ?: 0 }

/**
 * Why a round at the pace [now] is not to be trusted; null where it is.
 *
 * [atRest]: rounds from when the run began, which tell how fast the phone can be. Where an app may
 * not read the clocks the thermal status alone tells.
 */
internal fun slowed(atRest: List<Round>, now: Pace, thermalStatus: Int?): String? {
    if (thermalStatus != null && thermalStatus >= THERMAL_LIMIT) {
        return "the thermal status is $thermalStatus"
    }
    val paces = atRest.map(::paceOf)
    for ((entry, khz) in now) {
        val first = paces.maxOfOrNull { it[entry] ?: 0 } ?: 0
        if (khz == 0 || first == 0) continue
        val drop = 1 - khz.toDouble() / first
        if (drop > CLOCK_LIMIT) {
            return "the fastest core ran ${percent(drop)} below its first clock"
        }
    }
    return null
}

private fun percent(share: Double) = "${(100 * share).roundToInt()}%"
