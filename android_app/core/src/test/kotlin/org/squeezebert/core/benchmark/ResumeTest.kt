package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.squeezebert.core.UserError

class ResumeTest {
    private val settings = Settings(blocks = 4, secondsPerBlock = 0.05, starts = 2)

    /** The records of a run that was cut after so many of them. */
    private fun interrupted(count: Int) =
        FakeRun(fakePlan(settings)).apply { run() }.records.take(count)

    @Test
    fun `a run goes on after any record`() {
        val whole = FakeRun(fakePlan(settings)).apply { run() }
        val complete = whole.of("block").size
        for (count in 1 until whole.records.size) {
            val earlier = whole.records.take(count)
            val run = FakeRun(fakePlan(settings))
            assertEquals(emptyList<String>(), run.run(earlier).failed)
            assertEquals("resume", run.records.first().kind)
            assertEquals("end", run.records.last().kind)
            val all = Records(earlier + run.records)
            val rounds = all.blocks.groupBy { it.round }.values.filter { it.size == 2 }
            assertEquals(complete / 2, rounds.size)
            assertEquals(4, (earlier + run.records).count { it.kind == "start" })
            val directions = rounds.map { round -> round.minBy { it.position }.entry }
            assertEquals(2, directions.count { it == "e1" })
        }
    }

    @Test
    fun `a round that was cut in the middle is measured again under a new number`() {
        val whole = FakeRun(fakePlan(settings)).apply { run() }.records
        val first = whole.indexOfFirst { it.kind == "block" }
        val run = FakeRun(fakePlan(settings))
        run.run(whole.take(first + 1))
        assertEquals(listOf(1, 1, 2, 2, 3, 3, 4, 4), run.of("block").map { it.int("round") })
    }

    @Test
    fun `what failed before stays out`() {
        val broken = FakeRun(fakePlan(settings))
        broken.engine.refuses = { if (it.name == "e1.onnx") Exception("no") else null }
        broken.run()
        val run = FakeRun(fakePlan(settings))
        val earlier = broken.records.filter { it.kind != "end" && it.kind != "block" }
        assertEquals(listOf("e1"), run.run(earlier).failed)
        assertEquals(setOf("e2"), run.of("block").map { it.text("entry") }.toSet())
    }

    @Test
    fun `a run of another phone, other settings or other lengths is refused`() {
        val earlier = interrupted(5)
        val other = FakeRun(fakePlan(settings)).apply { phone.model = "Another" }
        val slower = FakeRun(fakePlan(settings.copy(secondsPerBlock = 1.0)))
        val longer = FakeRun(fakePlan(settings, lengths = listOf(8, 16)))
        for ((run, what) in listOf(other to "device", slower to "settings", longer to "lengths")) {
            val error = assertThrows(UserError::class.java) { run.run(earlier) }
            assertTrue(error.reason, what in error.reason)
            assertTrue(run.records.isEmpty())
        }
    }

    @Test
    fun `which cores were awake when the app looked does not matter`() {
        val earlier = interrupted(5)
        val facts = earlier.first().getValue("device").jsonObject
        val other = mapOf("cores" to 3, "features" to 0, "clusters" to 0)
            .mapValues { JsonPrimitive(it.value) }
        val head = JsonObject(earlier.first() + ("device" to JsonObject(facts + other)))
        FakeRun(fakePlan(settings)).run(listOf(head) + earlier.drop(1))
        val moved = JsonObject(facts + ("system" to JsonPrimitive("Android 16")))
        val updated = JsonObject(head + ("device" to moved))
        assertThrows(UserError::class.java) {
            FakeRun(fakePlan(settings)).run(listOf(updated) + earlier.drop(1))
        }
    }

    @Test
    fun `a run without an end after it went on was cancelled`() {
        val whole = FakeRun(fakePlan(settings)).apply { run() }.records
        val resume = record("resume") {}
        assertFalse(outcomeOf(whole).cancelled)
        assertTrue(outcomeOf(whole.dropLast(1)).cancelled)
        assertTrue(outcomeOf(whole + resume).cancelled)
        assertFalse(outcomeOf(whole.dropLast(1) + resume + whole.last()).cancelled)
        val broken = FakeRun(fakePlan(settings))
        broken.engine.refuses = { if (it.name == "e1.onnx") Exception("no") else null }
        broken.run()
        assertEquals(listOf("e1"), outcomeOf(broken.records).failed)
    }

    @Test
    fun `results that begin with no run record, or hold a broken one, are refused`() {
        val earlier = interrupted(20)
        assertThrows(UserError::class.java) { FakeRun(fakePlan(settings)).run(earlier.drop(1)) }
        val broken = earlier.map { if (it.kind == "block") record("block") {} else it }
        assertThrows(UserError::class.java) { FakeRun(fakePlan(settings)).run(broken) }
    }
}
