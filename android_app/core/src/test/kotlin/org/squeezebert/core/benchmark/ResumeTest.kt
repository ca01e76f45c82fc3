package org.squeezebert.core.benchmark

import org.junit.Assert.assertEquals
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
    fun `results that begin with no run record, or hold a broken one, are refused`() {
        val earlier = interrupted(20)
        assertThrows(UserError::class.java) { FakeRun(fakePlan(settings)).run(earlier.drop(1)) }
        val broken = earlier.map { if (it.kind == "block") record("block") {} else it }
        assertThrows(UserError::class.java) { FakeRun(fakePlan(settings)).run(broken) }
    }
}
