package org.squeezebert.app.work

import java.io.File
import java.util.concurrent.Executor
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.squeezebert.app.ui.FakePhone
import org.squeezebert.app.ui.GateEngine
import org.squeezebert.core.benchmark.BenchmarkPlan
import org.squeezebert.core.benchmark.Choice
import org.squeezebert.core.benchmark.RecordFile
import org.squeezebert.core.benchmark.Settings
import org.squeezebert.core.benchmark.planFor
import org.squeezebert.core.benchmark.summarize
import org.squeezebert.core.bundle.readBundle

/** What is kept of runs, for the next process and beside runs of a computer. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class BenchmarkingTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private val folder by lazy { File(temporary.root, "benchmark") }
    private val plan get() = File(folder, "plan.json")
    private val bundle by lazy { File(temporary.root, "small") }
    private val engine = GateEngine()
    private val settings = Settings(
        blocks = 2,
        mostBlocks = 2,
        secondsPerBlock = 0.001,
        minimumIterations = 1,
        warmUpLimit = 0.001,
    )

    @Before
    fun aBundle() = writeSmallBundle(bundle)

    /** Of a process of its own. Everything is done at once; [watch] hears of every change. */
    private fun benchmarking(watch: (Benchmarking) -> Unit = {}): Benchmarking {
        val atOnce = Executor { it.run() }
        var made: Benchmarking? = null
        made = Benchmarking(
            folder, { bundle }, FakePhone(), listOf(engine), Background(atOnce, atOnce), {},
            { made?.let(watch) },
        )
        return made
    }

    private fun plan(): BenchmarkPlan {
        val found = readBundle(bundle)
        return planFor(listOf(Choice(found, found.artifacts.single(), true)), listOf(8), 1, settings)
    }

    private fun cancelAtOnce(run: Benchmarking) {
        if ((run.state as? BenchmarkState.Running)?.cancelling == false) run.cancel()
    }

    @Test
    fun aRunThatIsWholeLeavesItsResultsAlone() {
        val run = benchmarking()
        run.start("a", plan())
        assertFalse((run.state as BenchmarkState.Finished).cancelled)
        assertEquals(listOf(run.results.name), folder.list()?.toList())
        val after = benchmarking().apply { start() }.state as BenchmarkState.Finished
        assertFalse(after.cancelled)
        assertEquals(1, after.rows.size)
    }

    @Test
    fun aCancelledRunGoesOnInTheNextProcess() {
        val run = benchmarking(::cancelAtOnce)
        run.start("a", plan())
        assertTrue((run.state as BenchmarkState.Finished).cancelled)
        assertTrue(plan.exists())
        val next = benchmarking().apply { start() }
        assertEquals(BenchmarkState.Interrupted, next.state)
        next.resume("a")
        assertFalse((next.state as BenchmarkState.Finished).cancelled)
        assertFalse(plan.exists())
    }

    @Test
    fun aFullStorageLosesNothing() {
        benchmarking().start("a", plan())
        val records = RecordFile(File(folder, Benchmarking.RESULTS_NAME)).read()
        // Nothing can be written below a file of this name.
        val obstacle = File(folder, "plan.json.part").apply { mkdirs() }
        val full = benchmarking().apply { start("b", plan()) }
        val error = (full.state as BenchmarkState.Failed).error
        assertTrue(error.nextStep, "Free some storage" in error.nextStep)
        assertEquals(records, RecordFile(full.results).read())
        obstacle.delete()
    }

    @Test
    fun aRunThatFailedGoesOn() {
        val run = benchmarking()
        File(folder, "measured.jsonl").mkdirs()
        File(folder, "measured.jsonl/in the way").createNewFile()
        run.start("a", plan())
        assertTrue(run.state is BenchmarkState.Failed)
        File(folder, "measured.jsonl").deleteRecursively()
        val next = benchmarking().apply { start() }
        assertEquals(BenchmarkState.Interrupted, next.state)
        next.resume("a")
        assertTrue(next.state is BenchmarkState.Finished)
    }

    @Test
    fun aRunOfAComputerLeavesTheScreensRunAlone() {
        benchmarking(::cancelAtOnce).start("a", plan())
        val kept = plan.readText()
        val measured = File(folder, "measured.jsonl").readText()
        val records = File(temporary.root, "shared/records.jsonl")
        val run = benchmarking()
        run.start(BenchmarkJob("computer", records) { Prepared(plan()) { bundle } })
        assertFalse((run.state as BenchmarkState.Finished).cancelled)
        assertEquals(records.readText(), run.results.readText())
        assertEquals(kept, plan.readText())
        assertEquals(measured, File(folder, "measured.jsonl").readText())
        assertEquals(BenchmarkState.Interrupted, benchmarking().apply { start() }.state)
    }

    @Test
    fun resultsWithoutAnEndWereCancelled() {
        val run = benchmarking().apply { start("a", plan()) }
        val whole = (run.state as BenchmarkState.Finished).rows.size
        run.results.writeText(run.results.readLines().dropLast(1).joinToString("") { "$it\n" })
        val after = benchmarking().apply { start() }.state as BenchmarkState.Finished
        assertTrue(after.cancelled)
        assertEquals(whole, summarize(RecordFile(run.results).read()).size)
    }

    @Test
    fun aBundleThatWasReplacedIsNotMeasured() {
        val made = plan()
        File(bundle, "onnx/model.onnx").writeBytes(ByteArray(1000))
        val run = benchmarking().apply { start("a", made) }
        val error = (run.state as BenchmarkState.Failed).error
        assertTrue(error.reason, "is not the file that was exported" in error.reason)
        assertEquals(0, engine.inferences)
    }
}
