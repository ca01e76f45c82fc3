package org.squeezebert.app.entry

import android.app.KeyguardManager
import android.content.Context
import android.content.Intent
import java.io.File
import java.io.IOException
import org.squeezebert.app.Workplace
import org.squeezebert.app.work.BenchmarkJob
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.app.work.Benchmarking
import org.squeezebert.app.work.Prepared
import org.squeezebert.core.UserError
import org.squeezebert.core.entry.PlanFolder
import org.squeezebert.core.entry.RunState
import org.squeezebert.core.entry.writeState

/**
 * Starts the run that a computer asks for.
 *
 *     am start -W -n org.squeezebert.app/.BenchmarkEntry --es plan RUN
 *
 * The manifest guards that name with the permission DUMP. RUN names a folder with a plan
 * ([PlanFolder]); the state there says what became of it. A name that is none is answered in
 * `refused.json` beside the folders. For the main thread.
 */
class BenchmarkEntry(private val context: Context, private val benchmarking: Benchmarking) {
    constructor(context: Context, workplace: Workplace) : this(context, workplace.benchmarking)

    /** Starts, or refuses; either is shown on the Benchmark screen. */
    fun handle(intent: Intent) {
        val name = intent.getStringExtra(PLAN)
        val folder = try {
            PlanFolder.of(name, sharedFolder(context), ownFolder(context))
        } catch (error: UserError) {
            tellRefused(error)
            benchmarking.refuse(error)
            return
        }
        val running = benchmarking.state as? BenchmarkState.Running
        // Android may hand an intent over twice: the run goes on, and so does what it tells.
        if (running?.title == name) return
        val obstacle = obstacle(running)
        if (obstacle == null) {
            folder.tell(RunState.running(null, "copying the models"))
            benchmarking.start(job(folder, name.orEmpty()))
        } else {
            folder.tell(RunState("refused", problem = obstacle))
            benchmarking.refuse(obstacle)
        }
    }

    /** Why the run cannot be started, or null. Its plan is read behind, since that takes time. */
    private fun obstacle(running: BenchmarkState.Running?): UserError? {
        if (running != null) {
            return UserError(
                "The app measures something else at the moment.",
                "Wait until it is done, or cancel it on the phone, then start the run again.",
            )
        }
        // A lock without a secret is being opened by the computer, which takes a moment.
        val keyguard = context.getSystemService(KeyguardManager::class.java)
        if (keyguard?.isDeviceLocked == true) {
            return UserError(
                "The phone is locked: what nobody sees is kept from its fast cores.",
                "Unlock it, and start the run again.",
            )
        }
        return null
    }

    private fun job(folder: PlanFolder, name: String): BenchmarkJob {
        var understood = false
        return BenchmarkJob(
            title = name,
            records = folder.records,
            observe = { state ->
                if (state is BenchmarkState.Finished || state is BenchmarkState.Failed) {
                    folder.removeCopies()
                }
                told(state, understood)?.let(folder::tell)
            },
        ) { cancelled ->
            val plan = folder.plan()
            understood = true
            Prepared(plan, folder.copyModels(plan, cancelled))
        }
    }

    /** [understood]: there is a plan that can be measured. */
    private fun told(state: BenchmarkState, understood: Boolean): RunState? = when (state) {
        is BenchmarkState.Running -> RunState.running(state.progress, "starting")
        is BenchmarkState.Finished -> RunState(if (state.cancelled) "cancelled" else "done")
        is BenchmarkState.Failed ->
            RunState(if (understood) "failed" else "refused", problem = state.error)
        else -> null
    }

    /** Where there is not even the folder for that, the screen alone tells. */
    private fun tellRefused(error: UserError) {
        try {
            val shared = sharedFolder(context).apply { mkdirs() }
            writeState(File(shared, REFUSED), RunState("refused", problem = error))
        } catch (_: IOException) {
            return
        } catch (_: UserError) {
            return
        }
    }

    companion object {
        /** The extra with the run's name. */
        const val PLAN = "plan"

        /** What became of a start without a folder. */
        const val REFUSED = "refused.json"
    }
}
