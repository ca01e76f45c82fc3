package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import org.squeezebert.core.UserError

/**
 * How long and how carefully; times in seconds. The defaults are those of runtime_bench/plan.py.
 *
 * @property blocks rounds of a case: even, since every forward order is followed by its reverse.
 * @property mostBlocks up to this many rounds while an interval is wide; 0: twice [blocks].
 * @property intervalGoal relative half width of an interval that is narrow enough.
 * @property warmUpLimit after this a model that never became steady is measured all the same.
 * @property stepLimit for the record: inside the app an inference that hangs cannot be ended.
 * @property cores "all": an app cannot bind its threads to cores.
 * @property starts how often every model is opened, run once and closed; 0: not at all.
 * @property pauseLimit how long to wait when the phone slows down; 0: that is not watched.
 * @property seed of the token ids.
 */
data class Settings(
    val blocks: Int = 10,
    val mostBlocks: Int = 0,
    val intervalGoal: Double = INTERVAL_LIMIT,
    val secondsPerBlock: Double = 0.5,
    val minimumIterations: Int = 3,
    val warmUpLimit: Double = 10.0,
    val stepLimit: Double = 120.0,
    val cores: String = ALL_CORES,
    val starts: Int = 0,
    val pauseLimit: Double = 0.0,
    val seed: Int = 0,
) {
    /** As the run record holds them. */
    fun document(): JsonObject = buildJsonObject {
        put("blocks", blocks)
        put("most_blocks", mostBlocks)
        put("interval_goal", intervalGoal)
        put("seconds_per_block", secondsPerBlock)
        put("minimum_iterations", minimumIterations)
        put("warm_up_limit", warmUpLimit)
        put("step_limit", stepLimit)
        put("cores", cores)
        put("starts", starts)
        put("pause_limit", pauseLimit)
        put("seed", seed)
    }

    /** Throws [UserError] where a run cannot be made of these. */
    fun check() {
        val wrong = when {
            blocks < 2 || blocks % 2 != 0 -> "$blocks rounds cannot be measured: every forward " +
                "order is followed by its reverse"
            mostBlocks != 0 && (mostBlocks < blocks || mostBlocks % 2 != 0) ->
                "At most $mostBlocks rounds do not go with $blocks: the number is even and not less"
            !(secondsPerBlock > 0) -> "$secondsPerBlock s of a block are not above zero"
            !(intervalGoal > 0) -> "The goal $intervalGoal of an interval is not above zero"
            minimumIterations < 1 -> "A block of $minimumIterations inferences measures nothing"
            starts < 0 || !(pauseLimit >= 0) || !(warmUpLimit >= 0) ->
                "Starts, pauses and warm-up are below zero"
            cores != ALL_CORES -> "The plan asks for the cores \"$cores\", but an app cannot " +
                "bind its threads"
            else -> return
        }
        throw UserError("$wrong.", "Make the plan again with other settings.")
    }
}

/** Relative half width of an interval that tells small differences apart (stability.py). */
const val INTERVAL_LIMIT = 0.03

/** No binding to a cluster. */
const val ALL_CORES = "all"
