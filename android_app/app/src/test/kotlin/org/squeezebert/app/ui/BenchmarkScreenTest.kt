package org.squeezebert.app.ui

import android.content.ComponentName
import android.content.Intent
import android.net.Uri
import android.view.ViewGroup
import android.view.WindowManager
import android.widget.TextView
import java.io.FileNotFoundException
import java.util.Locale
import java.util.concurrent.CountDownLatch
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.squeezebert.app.MainActivity
import org.squeezebert.app.R
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.core.bundle.readBundle

/** The Benchmark screen with real ONNX Runtime on real bundles. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class, qualifiers = "w411dp-h891dp-port")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class BenchmarkScreenTest {
    private val application = RuntimeEnvironment.getApplication() as TestApplication

    @Test
    fun measuresInTurnAndShowsEveryModel() {
        val stage = Stage()
        stage.measure(0, 1)
        val end = stage.workplace.benchmarking.state as BenchmarkState.Finished
        assertEquals(listOf("baseline", "subject"), end.rows.map { it.role })
        assertEquals(emptyList<String>(), end.failed)
        assertTrue(stage.shows(R.id.benchmark_results))
        val times = rows(stage).map { it.findViewById<TextView>(R.id.row_median).text.toString() }
        assertEquals(2, times.size)
        times.forEach { assertTrue(it, it.endsWith(" ms")) }
        val names = rows(stage).map { it.findViewById<TextView>(R.id.row_name).text.toString() }
        assertEquals(end.rows.map { it.label }, names)
        assertEquals(2, names.toSet().size)
        val (first, second) =
            rows(stage).map { it.findViewById<TextView>(R.id.row_ratio).text.toString() }
        assertEquals("Baseline", first)
        val ratio = checkNotNull(end.rows[1].ratio)
        val told = String.format(Locale.ROOT, "%.2f × as fast", ratio.value)
        val undecided = "No difference can be told"
        assertEquals(if (ratio.verdict == "undecided") undecided else told, second)
        val details = rows(stage).map { it.findViewById<TextView>(R.id.row_detail).text.toString() }
        end.rows.zip(details).forEach { (row, detail) ->
            assertTrue(detail, detail.endsWith("samples: ${row.samples}"))
            assertTrue(detail, detail.contains("90th percentile"))
        }
    }

    @Test
    fun theScreenStaysOnOnlyWhileARunGoesOn() {
        val gate = CountDownLatch(1)
        application.engines = listOf(GateEngine(gate))
        val stage = Stage()
        assertFalse(staysOn(stage))
        stage.startMeasuring(0)
        stage.tap(R.id.tab_about)
        assertTrue(staysOn(stage))
        stage.become("w891dp-h411dp-land")
        assertTrue(staysOn(stage))
        gate.countDown()
        stage.waitForBenchmark()
        assertFalse(staysOn(stage))
    }

    @Test
    fun aPlanThatCannotBeMadeIsToldAndTheAppGoesOn() {
        application.makeSettings = { throw ArithmeticException("/ by zero") }
        val stage = Stage()
        stage.startMeasuring(0)
        assertTrue(stage.text(R.id.benchmark_error_reason).contains("/ by zero"))
    }

    @Test
    fun onlyAFreshIntentOfTheGuardedEntryIsHeeded() {
        val name = ComponentName(application, "org.squeezebert.app.BenchmarkEntry")
        val asked = Intent().setComponent(name)
        Stage(intent = Intent(asked).addFlags(Intent.FLAG_ACTIVITY_LAUNCHED_FROM_HISTORY))
        assertEquals(0, application.entered.size)
        val stage = Stage(intent = asked)
        assertEquals(1, application.entered.size)
        assertTrue(stage.shows(R.id.benchmark_setup))
        Stage(intent = Intent(application, MainActivity::class.java))
        assertEquals(1, application.entered.size)
    }

    @Test
    fun bertBaseIsKnownByItsSizes() {
        val model = readBundle(demoFolders().first()).model
        val bert = model.copy(family = "bert", layers = 12, hiddenSize = 768)
        assertTrue(bert.isBertBase())
        assertFalse(bert.copy(layers = 2).isBertBase())
        assertFalse(bert.copy(hiddenSize = 128).isBertBase())
        assertFalse(bert.copy(family = "squeezebert").isBertBase())
    }

    @Test
    fun nothingIsStartedWithoutAModelOrALength() {
        val stage = Stage()
        stage.tap(R.id.tab_benchmark)
        val start = stage.view<TextView>(R.id.benchmark_start)
        assertFalse(start.isEnabled)
        assertTrue(stage.shows(R.id.benchmark_why_not))
        stage.view<ViewGroup>(R.id.benchmark_models).getChildAt(0).performClick()
        assertTrue(start.isEnabled)
        assertFalse(stage.shows(R.id.benchmark_why_not))
        stage.view<ViewGroup>(R.id.benchmark_lengths).getChildAt(2).performClick()
        assertFalse(start.isEnabled)
        assertEquals("Choose a model and a length.", stage.text(R.id.benchmark_why_not))
    }

    @Test
    fun lengthsThatNoModelReadsCannotBeChosen() {
        val stage = Stage()
        stage.tap(R.id.tab_benchmark)
        // Both models read at most 128 tokens.
        assertEquals(listOf(true, true, true, false, false), lengths(stage))
        stage.view<ViewGroup>(R.id.benchmark_models).getChildAt(0).performClick()
        assertEquals(listOf(true, true, true, false, false), lengths(stage))
    }

    @Test
    fun cancellingEndsTheRunAndKeepsTheApp() {
        val gate = CountDownLatch(1)
        application.engines = listOf(GateEngine(gate))
        val stage = Stage()
        stage.startMeasuring(0)
        assertTrue(stage.shows(R.id.benchmark_running))
        assertFalse(stage.view<TextView>(R.id.classify_button).isEnabled)
        stage.tap(R.id.benchmark_cancel)
        gate.countDown()
        stage.waitForBenchmark()
        assertTrue((stage.workplace.benchmarking.state as BenchmarkState.Finished).cancelled)
        assertFalse(stage.shows(R.id.benchmark_running))
    }

    @Test
    fun aRunGoesOnThroughARotation() {
        val gate = CountDownLatch(1)
        application.engines = listOf(GateEngine(gate))
        val stage = Stage()
        stage.startMeasuring(0)
        stage.become("w891dp-h411dp-land")
        assertTrue(stage.shows(R.id.benchmark_running))
        gate.countDown()
        stage.waitForBenchmark()
        assertTrue(stage.shows(R.id.benchmark_results))
    }

    @Test
    fun aRunThatTheSystemEndedGoesOn() {
        application.engines = listOf(GateEngine(CountDownLatch(1)))
        val stage = Stage()
        stage.startMeasuring(0)
        val plan = application.filesDir.resolve("benchmark/plan.json")
        stage.waitFor("the plan on disk") { plan.exists() }
        application.engines = listOf(GateEngine())
        stage.dieAndReturn()
        stage.waitFor("what was left behind") {
            stage.workplace.benchmarking.state == BenchmarkState.Interrupted
        }
        assertTrue(stage.shows(R.id.benchmark_interrupted))
        stage.tap(R.id.benchmark_continue)
        stage.waitForBenchmark()
        assertTrue(stage.shows(R.id.benchmark_results))
        assertFalse(plan.exists())
    }

    @Test
    fun resultsOutliveTheProcess() {
        val stage = Stage()
        stage.measure(0)
        val before = rows(stage).map { it.contentDescription.toString() }
        stage.dieAndReturn()
        stage.waitFor("the results") {
            stage.workplace.benchmarking.state is BenchmarkState.Finished
        }
        assertEquals(before, rows(stage).map { it.contentDescription.toString() })
    }

    @Test
    fun sharesTheRecordsAndNothingElse() {
        val stage = Stage()
        stage.measure(0)
        stage.tap(R.id.benchmark_share)
        val chooser = shadowOf(stage.activity).nextStartedActivity
        val send = chooser.getParcelableExtra(Intent.EXTRA_INTENT, Intent::class.java)!!
        assertEquals(Intent.ACTION_SEND, send.action)
        assertEquals("application/x-ndjson", send.type)
        assertTrue(send.flags and Intent.FLAG_GRANT_READ_URI_PERMISSION != 0)
        val address = send.getParcelableExtra(Intent.EXTRA_STREAM, Uri::class.java)!!
        val resolver = application.contentResolver
        val lines = resolver.openInputStream(address)!!.use { it.reader().readLines() }
        assertTrue(lines.size > 3)
        lines.forEach { Json.parseToJsonElement(it).jsonObject }
        val other = address.buildUpon().path("/../plan.json").build()
        assertThrows(FileNotFoundException::class.java) { resolver.openFileDescriptor(other, "r") }
        assertThrows(SecurityException::class.java) { resolver.openFileDescriptor(address, "w") }
    }

    private fun lengths(stage: Stage) =
        stage.view<ViewGroup>(R.id.benchmark_lengths).let { chips ->
            (0 until chips.childCount).map { chips.getChildAt(it).isEnabled }
        }

    private fun staysOn(stage: Stage) = stage.activity.window.attributes.flags and
        WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON != 0

    private fun rows(stage: Stage) = stage.view<ViewGroup>(R.id.benchmark_rows).let { list ->
        (0 until list.childCount).map(list::getChildAt)
            .filter { it.findViewById<TextView>(R.id.row_median) != null }
    }
}
