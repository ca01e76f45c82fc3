package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.squeezebert.core.UserError
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Tensor

class BenchmarkTest {
    private val logits = floatArrayOf(1f, -2f, 0.5f)

    private fun expected(vararg values: Double) = mapOf("logits" to Output(listOf(1, 3), values))

    @Test
    fun `a run writes every kind of record in its order`() {
        val run = FakeRun(fakePlan(Settings(blocks = 2, secondsPerBlock = 0.05, starts = 1)))
        val outcome = run.run()
        assertEquals(
            listOf(
                "run", "start", "start", "load", "load", "warm_up", "warm_up", "conditions",
                "block", "block", "conditions", "block", "block", "conditions", "end",
            ),
            run.records.map { it.kind },
        )
        assertEquals(emptyList<String>(), outcome.failed)
        assertFalse(outcome.cancelled)
        assertTrue(run.engine.open.isEmpty())
    }

    @Test
    fun `entries take turns forward and back`() {
        val run = FakeRun(fakePlan(Settings(blocks = 4, secondsPerBlock = 0.05)))
        run.run()
        assertEquals(
            listOf("e1", "e2", "e2", "e1", "e1", "e2", "e2", "e1"),
            run.of("block").map { it.text("entry") },
        )
        assertEquals(listOf(0, 1, 0, 1, 0, 1, 0, 1), run.of("block").map { it.int("position") })
    }

    @Test
    fun `lead-in and samples last as long as they should`() {
        val run = FakeRun()
        run.run()
        val nanos = 800_000L // 8 tokens of 0.1 ms
        for (block in run.of("block")) {
            val leadIn = block.getValue("lead_in_ns").jsonArray.map { it.jsonPrimitive.long }
            val wall = block.getValue("wall_ns").jsonArray.map { it.jsonPrimitive.long }
            assertEquals(setOf(nanos), (leadIn + wall).toSet())
            assertEquals(188, leadIn.size) // 0.15 s
            assertEquals(63, wall.size) // 0.05 s
        }
        val warmUp = run.of("warm_up").first().getValue("wall_ns").jsonArray
        assertEquals(375, warmUp.size) // 0.3 s, and a multiple of 3
    }

    @Test
    fun `a slow model has as many samples as asked for at least`() {
        val run = FakeRun()
        run.engine.nanos = { _, _ -> 1_000_000_000 }
        run.run()
        run.of("block").forEach {
            assertEquals(1, it.getValue("lead_in_ns").jsonArray.size)
            assertEquals(3, it.getValue("wall_ns").jsonArray.size)
        }
    }

    @Test
    fun `right answers are timed`() {
        val run = FakeRun(fakePlan(expected = expected(1.0, -2.0, 0.5)))
        assertEquals(emptyList<String>(), run.run().failed)
    }

    @Test
    fun `a wrong answer is never timed, and the others go on`() {
        val run = FakeRun(fakePlan(expected = expected(1.0, -2.0, 0.5)))
        run.engine.answer = { file, _ ->
            val wrong = if (file.name == "e1.onnx") 1.01f else 1f
            listOf(Tensor("logits", longArrayOf(1, 3), floatArrayOf(wrong, -2f, 0.5f)))
        }
        assertEquals(listOf("e1"), run.run().failed)
        assertEquals(setOf("e2"), run.of("block").map { it.text("entry") }.toSet())
        val failure = run.of("failure").single()
        assertEquals("warm-up", failure.text("stage"))
        assertTrue(failure.text("reason"), "nothing was measured" in failure.text("reason"))
    }

    @Test
    fun `what cannot be compared is a wrong answer`() {
        for (value in listOf(Double.NaN, Double.POSITIVE_INFINITY)) {
            val run = FakeRun(fakePlan(expected = expected(1.0, -2.0, value)))
            assertEquals(listOf("e1", "e2"), run.run().failed)
            assertTrue(run.of("block").isEmpty())
        }
    }

    @Test
    fun `another shape, another name and what is not finite are wrong answers`() {
        val answers = listOf(
            Tensor("logits", longArrayOf(3), logits),
            Tensor("scores", longArrayOf(1, 3), logits),
            Tensor("logits", longArrayOf(1, 3), floatArrayOf(1f, Float.NaN, 0.5f)),
        )
        for (answer in answers) {
            val run = FakeRun(fakePlan(expected = expected(1.0, -2.0, 0.5)))
            run.engine.answer = { _, _ -> listOf(answer) }
            assertEquals(listOf("e1", "e2"), run.run().failed)
            assertTrue(run.of("block").isEmpty())
        }
    }

    @Test
    fun `a model that is larger than the free memory is refused, and the next one goes on`() {
        val run = FakeRun()
        run.phone.freeMemory = 2_500_001
        assertEquals(emptyList<String>(), run.run().failed)
        val warned = run.records.first().getValue("warnings").jsonArray.single().jsonObject
        assertEquals(JsonPrimitive("memory"), warned["code"])
        val short = FakeRun()
        short.write = {
            short.records += it
            short.phone.freeMemory = if (it.kind == "run") 2_499_999 else 4_000_000_000
        }
        assertEquals(listOf("e1"), short.run().failed)
        assertEquals("load", short.of("failure").single().text("stage"))
        assertEquals(2, short.of("block").size)
    }

    @Test
    fun `whatever an engine throws is its entry's failure`() {
        val thrown = listOf(
            UserError("It is broken.", "Mend it."),
            IllegalStateException("surprise"),
            UnsatisfiedLinkError("no library"),
            OutOfMemoryError("too large"),
        )
        for (error in thrown) {
            val run = FakeRun()
            run.engine.refuses = { if (it.name == "e2.onnx") error else null }
            assertEquals(listOf("e2"), run.run().failed)
            assertEquals(2, run.of("block").size)
            assertTrue(error.message.orEmpty() in run.of("failure").single().text("reason"))
        }
    }

    @Test
    fun `an engine that is not there fails its entries with its own words`() {
        val run = FakeRun()
        run.engine.available = Availability.Missing(UserError("Not in this app.", "Take another."))
        assertEquals(listOf("e1", "e2"), run.run().failed)
        assertEquals(
            "Not in this app. Take another.",
            run.of("failure").first().text("reason"),
        )
        assertEquals("end", run.records.last().kind)
    }

    @Test
    fun `artifacts of one bundle are compared with its fp32 one`() {
        val entries = listOf(
            fakeEntry("e1", "subject", listOf(8), precision = "int8", bundle = "one"),
            fakeEntry("e2", "subject", listOf(8), bundle = "one"),
            fakeEntry("e3", "baseline", listOf(8), bundle = "two"),
        )
        val plain = fakePlan()
        val plan = BenchmarkPlan(
            plain.command, plain.device, entries, plain.lengths, plain.threads, plain.settings,
            plain.warnings, plain.notices,
        )
        val run = FakeRun(plan)
        run.engine.answer = { file, _ ->
            val shift = if (file.name == "e1.onnx") 0.25f else 0f
            listOf(Tensor("logits", longArrayOf(1, 3), floatArrayOf(1f + shift, -2f, 0.5f)))
        }
        run.run()
        val check = run.of("check").single()
        assertEquals("e1", check.text("entry"))
        assertEquals("e2", check.text("reference"))
        assertEquals("0.25", check.text("largest_difference"))
    }

    @Test
    fun `what write throws ends the run with all models closed`() {
        val run = FakeRun()
        run.write = {
            if (it.kind == "block") throw UserError("The storage is full.", "Free some.")
            run.records += it
        }
        assertThrows(UserError::class.java) { run.run() }
        assertTrue(run.engine.open.isEmpty())
        assertTrue(run.of("failure").isEmpty())
    }

    @Test
    fun `no inference follows a cancel, and everything is closed`() {
        for (last in listOf(0, 1, 100, 500, 1000)) {
            val run = FakeRun()
            run.cancelled = { run.engine.inferences >= last }
            val outcome = run.run()
            assertTrue(outcome.cancelled)
            assertEquals(last, run.engine.inferences)
            assertTrue(run.engine.open.isEmpty())
            assertTrue(run.of("end").isEmpty())
        }
    }

    @Test
    fun `progress tells the rounds`() {
        val run = FakeRun()
        run.run()
        assertTrue(run.progress.all { it.total == 2 })
        assertEquals(listOf(0, 1), run.progress.map { it.done }.distinct())
        assertTrue(run.progress.any { it.text == "1 thread, 8 tokens: round 2 of 2" })
    }

    @Test
    fun `the run record tells that one process holds all models`() {
        val run = FakeRun()
        run.run()
        val notices = run.records.first().getValue("notices").jsonArray
        assertTrue(notices.any { "one process" in it.jsonPrimitive.content })
        assertTrue(run.of("warm_up").all { it.getValue("steady").jsonPrimitive.boolean })
    }
}
