package org.squeezebert.app.work

import java.io.File
import java.io.IOException
import java.util.concurrent.atomic.AtomicBoolean
import org.squeezebert.core.UserError
import org.squeezebert.core.benchmark.Benchmark
import org.squeezebert.core.benchmark.BenchmarkPlan
import org.squeezebert.core.benchmark.Phone
import org.squeezebert.core.benchmark.Progress
import org.squeezebert.core.benchmark.RecordFile
import org.squeezebert.core.benchmark.document
import org.squeezebert.core.benchmark.outcomeOf
import org.squeezebert.core.benchmark.readPlan
import org.squeezebert.core.benchmark.summarize
import org.squeezebert.core.bundle.checkFiles
import org.squeezebert.core.engine.Engine

/**
 * The one benchmark that may run, and its results. For the main thread; every change is told to
 * [changed].
 *
 * @param folder keeps the last results; and the plan of a run of this screen, with what it has
 *     measured, until everything is: the user can go on after a cancel or a full storage. A run
 *     that a computer asked for leaves those two alone.
 * @param bundles the folder of a bundle by its id.
 * @param makeRoom is called before a run: closes what else is open.
 */
class Benchmarking(
    private val folder: File,
    private val bundles: (String) -> File,
    private val phone: Phone,
    private val engines: List<Engine>,
    private val background: Background,
    private val makeRoom: () -> Unit,
    private val changed: () -> Unit,
) {
    var state: BenchmarkState = BenchmarkState.Idle
        private set

    /** The last results, for sharing. */
    val results: File = File(folder, RESULTS_NAME)

    private val measured = File(folder, MEASURED_NAME)
    private val planFile = File(folder, PLAN_NAME)
    private val cancelled = AtomicBoolean()

    /** Finds what an earlier process has left. */
    fun start() {
        background.run({ leftBehind() }) { result ->
            if (state == BenchmarkState.Idle) {
                become(result.getOrElse { BenchmarkState.Failed(it as UserError) })
            }
        }
    }

    /** Runs [plan], whose entries' files are installed bundles. False while another one runs. */
    fun start(title: String, plan: BenchmarkPlan): Boolean = start(
        BenchmarkJob(title, measured) {
            val prepared = installed(plan)
            // Written first: where there is no room the earlier run can still go on.
            val written = written(planFile) { it.writeText(plan.document().toString()) }
            measured.delete()
            putInPlace(written, planFile)
            prepared
        },
    )

    /** Goes on with an interrupted run. */
    fun resume(title: String): Boolean = start(
        BenchmarkJob(title, measured) { installed(readPlan(planFile.readText())) },
    )

    /** Runs [job]. False while another one runs. */
    fun start(job: BenchmarkJob): Boolean {
        if (state is BenchmarkState.Running) return false
        cancelled.set(false)
        become(BenchmarkState.Running(job.title, null, cancelling = false))
        makeRoom()
        background.run({ runToEnd(job) }) { become(it.getOrThrow()) }
        return true
    }

    /** Ends the run after the inference that is being computed. */
    fun cancel() {
        val running = state as? BenchmarkState.Running ?: return
        cancelled.set(true)
        become(running.copy(cancelling = true))
    }

    /** Forgets results, and a run that was interrupted. */
    fun discard() {
        if (state is BenchmarkState.Running) return
        background.run({
            planFile.delete()
            measured.delete()
            results.delete()
        }) {}
        become(BenchmarkState.Idle)
    }

    /** Shows that a run asked for from outside was refused. A run that goes on stays. */
    fun refuse(error: UserError) {
        if (state !is BenchmarkState.Running) become(BenchmarkState.Failed(error))
    }

    private fun leftBehind(): BenchmarkState = when {
        planFile.exists() -> BenchmarkState.Interrupted
        results.exists() -> {
            val records = RecordFile(results).read()
            val outcome = outcomeOf(records)
            BenchmarkState.Finished(summarize(records), outcome.failed, outcome.cancelled)
        }
        else -> BenchmarkState.Idle
    }

    /** Where the models lie; their bundles may have been replaced after the plan was made. */
    private fun installed(plan: BenchmarkPlan): Prepared {
        val folders = plan.entries.associate { it.id to bundles(it.bundle) }
        for (entry in plan.entries) checkFiles(folders.getValue(entry.id), entry.artifact.files)
        return Prepared(plan) { folders.getValue(it) }
    }

    /** Always returns, with [BenchmarkState.Finished] or [BenchmarkState.Failed]. */
    private fun runToEnd(job: BenchmarkJob): BenchmarkState {
        val end = attempt { measure(job) }.getOrElse { BenchmarkState.Failed(it as UserError) }
        job.observe(end)
        return end
    }

    private fun measure(job: BenchmarkJob): BenchmarkState {
        val prepared = job.prepare(cancelled::get)
        val file = RecordFile(job.records)
        val earlier = file.read()
        val outcome = Benchmark(
            prepared.plan,
            phone,
            engines,
            prepared.folders,
            file::append,
            { report(job, it) },
            cancelled::get,
        ).run(earlier)
        putInPlace(written(results) { job.records.copyTo(it, overwrite = true) }, results)
        if (job.records == measured && !outcome.cancelled) {
            planFile.delete()
            measured.delete()
        }
        val rows = summarize(RecordFile(results).read())
        return BenchmarkState.Finished(rows, outcome.failed, outcome.cancelled)
    }

    private fun report(job: BenchmarkJob, progress: Progress) {
        job.observe(BenchmarkState.Running(job.title, progress, cancelled.get()))
        background.tell {
            val running = state as? BenchmarkState.Running ?: return@tell
            become(running.copy(progress = progress))
        }
    }

    private fun become(next: BenchmarkState) {
        state = next
        changed()
    }

    /** What is to become [file], wholly on the disk. */
    private fun written(file: File, write: (File) -> Unit): File {
        folder.mkdirs()
        try {
            return File(folder, "${file.name}.part").also(write)
        } catch (error: IOException) {
            throw full(file, error)
        }
    }

    private fun putInPlace(written: File, file: File) {
        if (!written.renameTo(file)) throw full(file, null)
    }

    private fun full(file: File, cause: IOException?) =
        UserError("${file.name} cannot be written.", "Free some storage and try again.", cause)

    companion object {
        /** The last results, in the folder. */
        const val RESULTS_NAME = "squeezebert-benchmark.jsonl"

        private const val MEASURED_NAME = "measured.jsonl"
        private const val PLAN_NAME = "plan.json"
    }
}
