package org.squeezebert.core.entry

import java.io.File
import java.io.IOException
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import org.squeezebert.core.UserError
import org.squeezebert.core.benchmark.Progress

/**
 * Where a run stands, as `state.json` says it.
 *
 * @property kind "running", "done", "failed", "refused" or "cancelled".
 * @property text what happens now.
 * @property done of [total] rounds.
 * @property problem why it failed or was refused.
 */
data class RunState(
    val kind: String,
    val text: String = "",
    val done: Int = 0,
    val total: Int = 0,
    val problem: UserError? = null,
) {
    companion object {
        /** A run that goes on; [progress] is null before the first round. */
        fun running(progress: Progress?, text: String = ""): RunState = when (progress) {
            null -> RunState("running", text)
            else -> RunState("running", progress.text, progress.done, progress.total)
        }
    }
}

/** Replaces [file] by [state] at once. Throws [IOException] where it cannot be written. */
fun writeState(file: File, state: RunState) {
    val document = buildJsonObject {
        put("state", state.kind)
        put("text", state.text)
        put("reason", state.problem?.reason)
        put("next_step", state.problem?.nextStep)
        put("done", state.done)
        put("total", state.total)
    }
    val partial = File(file.path + ".partial")
    partial.writeText("$document\n")
    if (!partial.renameTo(file)) throw IOException("${file.name} cannot be replaced")
}
