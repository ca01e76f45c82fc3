package org.squeezebert.core.entry

import java.io.File
import java.security.MessageDigest
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.core.UserError
import org.squeezebert.core.benchmark.BenchmarkPlan
import org.squeezebert.core.benchmark.FakeEngine
import org.squeezebert.core.benchmark.FakePhone
import org.squeezebert.core.benchmark.PlanEntry
import org.squeezebert.core.benchmark.Progress
import org.squeezebert.core.benchmark.Settings
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.StoredFile
import org.squeezebert.core.engine.Availability

class PlanFolderTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private val shared by lazy { temporary.newFolder("shared") }
    private val own by lazy { temporary.newFolder("own") }
    private val run by lazy { PlanFolder.of("bench-1", shared, own) }
    private val folder by lazy { File(shared, "bench-1").apply { mkdirs() } }

    @Test
    fun namesThatLeaveTheFolderAreRefused() {
        val long = "a".repeat(65)
        val wrong = listOf(null, "", "..", ".hidden", "a/b", "../a", "a\u0000b", "ä", long)
        for (name in wrong) {
            val error = assertThrows(name, UserError::class.java) {
                PlanFolder.of(name, shared, own)
            }
            assertTrue(error.nextStep.isNotEmpty())
        }
        PlanFolder.of("a".repeat(64), shared, own)
    }

    @Test
    fun modelsAreCopiedAndRemoved() {
        val plan = plan("model".toByteArray())
        val copy = File(run.copyModels(plan) { false }("e1"), "onnx/model.onnx")
        assertEquals("model", copy.readText())
        assertTrue(copy.startsWith(own))
        run.removeCopies()
        assertFalse(copy.exists())
        assertTrue(own.list().isNullOrEmpty())
    }

    @Test
    fun whatOtherRunsLeftIsRemoved() {
        val other = File(own, "bench-2/e1").apply { mkdirs() }
        val copy = File(run.copyModels(plan("model".toByteArray())) { false }("e1"), "onnx")
        assertFalse(other.exists())
        assertTrue(copy.exists())
        assertEquals(listOf("bench-1"), own.list()?.toList())
    }

    @Test
    fun aModelWithOtherBytesIsRefused() {
        val plan = plan("model".toByteArray())
        File(folder, "bundles/e1/onnx/model.onnx").writeText("modeL")
        val error = assertThrows(UserError::class.java) { run.copyModels(plan) { false } }
        assertTrue(error.reason, "onnx/model.onnx of tiny has other bytes" in error.reason)
    }

    @Test
    fun aModelThatIsMissingIsNamed() {
        val plan = plan("model".toByteArray())
        File(folder, "bundles/e1/onnx/model.onnx").delete()
        val error = assertThrows(UserError::class.java) { run.copyModels(plan) { false } }
        assertTrue(error.reason, "onnx/model.onnx of tiny cannot be copied" in error.reason)
    }

    @Test
    fun nothingIsCopiedAfterItWasCancelled() {
        val folders = run.copyModels(plan("model".toByteArray())) { true }
        assertFalse(File(folders("e1"), "onnx/model.onnx").exists())
    }

    @Test
    fun aRunWithoutAPlanSaysSo() {
        folder.mkdirs()
        val error = assertThrows(UserError::class.java) { run.plan() }
        assertTrue(error.reason, "has no plan" in error.reason)
        File(folder, "plan.json").writeText("{\"schema\": \"other\"}")
        assertThrows(UserError::class.java) { run.plan() }
        File(folder, "plan.json").writeText(" ".repeat(17 shl 20))
        val large = assertThrows(UserError::class.java) { run.plan() }
        assertTrue(large.reason, "is larger than any plan" in large.reason)
    }

    @Test
    fun theStateIsWhole() {
        folder.mkdirs()
        run.tell(RunState.running(Progress("round 2", 1, 4, null, null)))
        assertEquals("running", state("state"))
        assertEquals("round 2", state("text"))
        assertEquals("1", state("done"))
        assertEquals("4", state("total"))
        run.tell(RunState("failed", problem = UserError("It is full.", "Free some.")))
        assertEquals("failed", state("state"))
        assertEquals("It is full.", state("reason"))
        assertEquals("Free some.", state("next_step"))
        assertEquals(listOf("state.json"), folder.list()?.toList())
    }

    @Test
    fun aStateThatCannotBeWrittenEndsNothing() {
        run.tell(RunState("done"))
        folder.mkdirs()
        run.tell(RunState("done"))
        assertEquals("done", state("state"))
    }

    @Test
    fun theAppSaysWhichEnginesRun() {
        val phone = FakePhone()
        val missing = FakeEngine(phone, "executorch").apply {
            available = Availability.Missing(UserError("It is not here.", "Build it in."))
        }
        val told = about(phone, listOf(FakeEngine(phone), missing))
        val engines = told.getValue("engines").jsonObject
        assertEquals("1.0", engines.getValue("onnx").jsonObject["version"]?.jsonPrimitive?.content)
        val executorch = engines.getValue("executorch").jsonObject
        assertEquals("It is not here.", executorch["reason"]?.jsonPrimitive?.content)
        assertFalse("version" in executorch)
        assertEquals(phone.fingerprint(), told["device"])
    }

    private fun state(name: String): String? =
        Json.parseToJsonElement(File(folder, "state.json").readText())
            .jsonObject[name]?.jsonPrimitive?.content

    /** A plan with one model, whose file lies beside it. */
    private fun plan(content: ByteArray): BenchmarkPlan {
        val file = File(folder, "bundles/e1/onnx/model.onnx")
        file.parentFile.mkdirs()
        file.writeBytes(content)
        val hash = MessageDigest.getInstance("SHA-256").digest(content)
            .joinToString("") { "%02x".format(it) }
        val stored = StoredFile("onnx/model.onnx", content.size.toLong(), hash)
        val artifact = Artifact(
            stored.path, "onnx", "optimized", "fp32", stored.bytes, hash, null, listOf(stored),
            emptyList(), emptyList(),
        )
        val entry = PlanEntry(
            "e1", "tiny", listOf("subject"), "bundles/e1", artifact, emptyMap(), null, 1e-4,
            JsonObject(emptyMap()),
        )
        return BenchmarkPlan(
            emptyList(), "app", listOf(entry), listOf(8), listOf(1), Settings(), emptyList(),
            emptyList(),
        )
    }
}
