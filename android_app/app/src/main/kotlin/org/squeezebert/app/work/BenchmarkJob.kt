package org.squeezebert.app.work

import java.io.File
import org.squeezebert.core.UserError
import org.squeezebert.core.benchmark.BenchmarkPlan
import org.squeezebert.core.benchmark.Progress
import org.squeezebert.core.benchmark.Row

/**
 * A benchmark to run.
 *
 * @property title shown while it runs.
 * @property records the results file. What is in it already is not measured again.
 * @property prepare yields the plan, after copying models or the like; it may throw [UserError].
 *     Runs on the background thread and asks whether it was cancelled.
 * @property observe hears of every state, on the background thread; the last is
 *     [BenchmarkState.Finished] or [BenchmarkState.Failed].
 */
class BenchmarkJob(
    val title: String,
    val records: File,
    val observe: (BenchmarkState) -> Unit = {},
    val prepare: (cancelled: () -> Boolean) -> Prepared,
)

/** A [plan] whose entries' files lie in [folders] (by the entry's id). */
class Prepared(val plan: BenchmarkPlan, val folders: (String) -> File)

/** Where the benchmark stands. */
sealed interface BenchmarkState {
    data object Idle : BenchmarkState

    /** [progress] is null until the first is told. */
    data class Running(
        val title: String,
        val progress: Progress?,
        val cancelling: Boolean,
    ) : BenchmarkState

    /** A run of an earlier process that came to no end. */
    data object Interrupted : BenchmarkState

    /** [failed] names the entries that left the run; [cancelled] where the user ended it. */
    class Finished(val rows: List<Row>, val failed: List<String>, val cancelled: Boolean) :
        BenchmarkState

    class Failed(val error: UserError) : BenchmarkState
}
