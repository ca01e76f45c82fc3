package org.squeezebert.app.entry

import android.app.ActivityManager
import android.app.KeyguardManager
import android.content.Context
import android.content.Intent
import java.io.File
import java.security.MessageDigest
import java.util.concurrent.Executor
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.squeezebert.app.work.Background
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.app.work.Benchmarking
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model
import org.squeezebert.core.engine.Tensor
import org.squeezebert.core.engine.Tokens

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class BenchmarkEntryTest {
    private val context: Context = RuntimeEnvironment.getApplication()
    private val runs = File(context.getExternalFilesDir(null), "benchmark")
    private val run = File(runs, "bench-1")
    private val copies = File(context.noBackupFilesDir, "benchmark")
    private val engine = QuickEngine()

    /** What waits for the background thread. */
    private val waiting = ArrayDeque<Runnable>()
    private val benchmarking = Benchmarking(
        File(context.filesDir, "results"),
        { throw AssertionError("no installed bundle is asked for") },
        AndroidPhone(context),
        listOf(engine),
        Background({ waiting.addLast(it) }, Executor { it.run() }),
        {},
        {},
    )

    @Before
    fun aPhoneWithMemory() {
        val memory = ActivityManager.MemoryInfo().apply { availMem = 1L shl 32 }
        shadowOf(context.getSystemService(ActivityManager::class.java)).setMemoryInfo(memory)
    }

    @Test
    fun aPlanIsMeasured() {
        writePlan()
        start("bench-1")
        assertEquals("running", state("state"))
        work()
        assertEquals(state("reason"), "done", state("state"))
        val kinds = records().map { it.getValue("kind").jsonPrimitive.content }
        assertEquals("run", kinds.first())
        assertEquals("end", kinds.last())
        assertTrue(kinds.count { it == "block" } >= 2)
        assertTrue(engine.opened.all { it.startsWith(copies) })
        assertTrue(copies.list().isNullOrEmpty())
        assertTrue(benchmarking.state is BenchmarkState.Finished)
    }

    @Test
    fun aSecondStartGoesOnAfterTheRecords() {
        writePlan()
        start("bench-1")
        work()
        val first = records()
        start("bench-1")
        work()
        assertEquals("done", state("state"))
        assertEquals(first, records().take(first.size))
        assertEquals("resume", records()[first.size].getValue("kind").jsonPrimitive.content)
        assertEquals(1, records().count { it["kind"]?.jsonPrimitive?.content == "run" })
    }

    @Test
    fun aCancelledRunSaysSo() {
        writePlan()
        engine.atInference = { benchmarking.cancel() }
        start("bench-1")
        work()
        assertEquals("cancelled", state("state"))
        assertTrue(copies.list().isNullOrEmpty())
    }

    @Test
    fun aLockedPhoneIsNotMeasured() {
        writePlan()
        shadowOf(context.getSystemService(KeyguardManager::class.java)).setIsDeviceLocked(true)
        start("bench-1")
        assertRefused("The phone is locked")
    }

    @Test
    fun aWrongPlanIsRefused() {
        writePlan()
        File(run, "plan.json").writeText("{}")
        start("bench-1")
        work()
        assertRefused("The plan cannot be used")
    }

    @Test
    fun noPlanIsRefused() {
        run.mkdirs()
        start("bench-1")
        work()
        assertRefused("has no plan")
    }

    @Test
    fun aStartThatIsHandedOverTwiceDisturbsNothing() {
        writePlan()
        start("bench-1")
        val told = File(run, "state.json").readText()
        start("bench-1")
        assertEquals(told, File(run, "state.json").readText())
        assertEquals(1, waiting.size)
        work()
        assertEquals("done", state("state"))
    }

    @Test
    fun aPlanIsReadBehindTheScreen() {
        writePlan()
        File(run, "plan.json").writeText(" ".repeat(20_000_000))
        start("bench-1")
        assertEquals("running", state("state"))
        work()
        assertRefused("larger than any plan")
    }

    @Test
    fun whatARunThatWasEndedLeftIsRemoved() {
        val left = File(copies, "bench-0/e1/model.onnx")
        left.parentFile?.mkdirs()
        left.writeText("model")
        writePlan()
        start("bench-1")
        work()
        assertTrue(copies.list().isNullOrEmpty())
    }

    @Test
    fun oneRunAtATime() {
        writePlan()
        start("bench-1")
        File(runs, "bench-2").mkdirs()
        File(run, "plan.json").copyTo(File(runs, "bench-2/plan.json"))
        start("bench-2")
        val second = File(runs, "bench-2/state.json").readText()
        assertTrue(second, "\"refused\"" in second && "something else" in second)
        work()
        assertEquals("done", state("state"))
    }

    @Test
    fun namesThatAreNoneAreRefusedBesideTheFolders() {
        for (name in listOf(null, "../bench-1", "a/b", "")) {
            File(runs, "refused.json").delete()
            start(name)
            val told = File(runs, "refused.json").readText()
            assertTrue(told, "\"refused\"" in told && "no name of a run" in told)
            assertTrue(benchmarking.state is BenchmarkState.Failed)
        }
        assertEquals(listOf("refused.json"), runs.list()?.toList())
        assertNull(waiting.firstOrNull())
    }

    @Test
    fun aModelThatChangedOnTheWayIsNotMeasured() {
        writePlan()
        File(run, "bundles/e1/onnx/model.onnx").writeText("other")
        start("bench-1")
        work()
        assertEquals("failed", state("state"))
        assertTrue(state("reason").orEmpty(), "other bytes" in state("reason").orEmpty())
        assertEquals(emptyList<File>(), engine.opened)
        assertTrue(copies.list().isNullOrEmpty())
    }

    private fun assertRefused(reason: String) {
        assertEquals("refused", state("state"))
        assertTrue(state("reason").orEmpty(), reason in state("reason").orEmpty())
        assertFalse(state("next_step").isNullOrEmpty())
        assertTrue(benchmarking.state is BenchmarkState.Failed)
        assertFalse(File(run, "records.jsonl").exists())
        assertNull(waiting.firstOrNull())
    }

    private fun start(name: String?) {
        val intent = Intent().apply { if (name != null) putExtra("plan", name) }
        BenchmarkEntry(context, benchmarking).handle(intent)
    }

    private fun work() {
        while (waiting.isNotEmpty()) waiting.removeFirst().run()
    }

    private fun records(): List<JsonObject> = File(run, "records.jsonl").readLines()
        .map { Json.parseToJsonElement(it).jsonObject }

    private fun state(name: String): String? =
        Json.parseToJsonElement(File(run, "state.json").readText())
            .jsonObject[name]?.jsonPrimitive?.contentOrNull

    private fun writePlan() {
        val content = "model".toByteArray()
        File(run, "bundles/e1/onnx").mkdirs()
        File(run, "bundles/e1/onnx/model.onnx").writeBytes(content)
        val hash = MessageDigest.getInstance("SHA-256").digest(content)
            .joinToString("") { "%02x".format(it) }
        File(run, "plan.json").writeText(plan(hash, content.size))
    }

    private fun plan(hash: String, size: Int) = """
        {"schema": "squeezebert-app-plan/1", "command": ["run"], "device": "app:1A",
        "entries": [{"id": "e1", "label": "tiny", "roles": ["subject"], "target": "onnx",
        "bundle": {"folder": "b"}, "artifact": {"path": "onnx/model.onnx", "flavour": "optimized",
        "precision": "fp32", "bytes": $size, "sha256": "$hash", "fingerprint": null,
        "files": [{"path": "onnx/model.onnx", "bytes": $size, "sha256": "$hash"}],
        "accuracy": null}, "nominal_flops": {"8": 1}}],
        "bundles": {"e1": "bundles/e1"}, "lengths": [8], "threads": [1],
        "settings": {"blocks": 2, "most_blocks": 2, "interval_goal": 0.03,
        "seconds_per_block": 0.001, "minimum_iterations": 1, "warm_up_limit": 0.001,
        "step_limit": 9.0, "cores": "all", "starts": 0, "pause_limit": 0.0, "seed": 0},
        "tensors": {"e1": {"inputs": [{"name": "input_ids", "dtype": "int64", "shape": [1, "n"]}],
        "outputs": [{"name": "logits", "dtype": "float32", "shape": [1, 2]}]}},
        "inputs": {"e1": {"8": {"input_ids": {"dtype": "int64", "shape": [1, 8],
        "values": [1, 2]}}}}, "expected": {"e1": {"8": {"logits": {"shape": [1, 2],
        "values": [1.0, 2.0]}}}}, "tolerances": {"e1": 1e-4}, "warnings": [], "notices": []}
    """
}

/** An engine that answers at once. */
private class QuickEngine : Engine {
    val opened = mutableListOf<File>()
    var atInference: () -> Unit = {}

    override val target = "onnx"
    override val name = "Quick"

    override fun availability() = Availability.Available("1.0")

    override fun open(file: File, artifact: Artifact, threads: Int): Model {
        if (!file.isFile) throw UserError("${file.name} is not there.", "Copy it.")
        opened += file
        return object : Model {
            override fun run(input: Tokens): List<Tensor> {
                atInference()
                return listOf(Tensor("logits", longArrayOf(1, 2), floatArrayOf(1f, 2f)))
            }

            override fun close() = Unit
        }
    }
}
