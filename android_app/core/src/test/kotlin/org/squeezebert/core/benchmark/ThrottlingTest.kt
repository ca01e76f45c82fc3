package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

class ThrottlingTest {
    private val watched =
        Settings(blocks = 6, mostBlocks = 6, secondsPerBlock = 0.05, pauseLimit = 60.0)

    private fun JsonObject.flag(name: String) = getValue(name).jsonPrimitive.boolean

    /** Seconds in which the phone is slow. */
    private fun slowBetween(start: Double, end: Double) =
        { now: Long -> if (now / 1e9 in start..end) 1_500_000 else 2_000_000 }

    @Test
    fun `a phone that keeps its speed is never paused`() {
        val run = FakeRun(fakePlan(watched))
        run.run()
        assertEquals(12, run.of("block").size)
        assertTrue(run.of("slowdown").isEmpty() && run.of("pause").isEmpty())
        assertTrue(run.of("block").all { "reference_ns" in it.getValue("before").jsonObject })
        assertNull(run.progress.last().slowedDown)
    }

    @Test
    fun `a slow round is dropped, waited for, and measured again`() {
        val run = FakeRun(fakePlan(watched))
        run.phone.khz = slowBetween(2.8, 20.0)
        run.run()
        val slowdown = run.of("slowdown").first()
        assertTrue(slowdown.flag("dropped"))
        assertTrue(slowdown.text("reason"), "25% below" in slowdown.text("reason"))
        val pause = run.of("pause").first()
        assertTrue(pause.flag("recovered"))
        assertEquals("20.0", pause.text("waited_s"))
        assertEquals(slowdown.int("round"), pause.int("dropped"))
        val dropped = run.of("slowdown").filter { it.flag("dropped") }.map { it.int("round") }
        val counted = run.of("block").map { it.int("round") }.toSet() - dropped.toSet()
        assertEquals(6, counted.size)
        assertTrue(run.progress.any { "waiting until that is over" in it.text && it.slowedDown != null })
    }

    @Test
    fun `after three pauses slow rounds count, and say so`() {
        val run = FakeRun(fakePlan(watched))
        run.phone.khz = slowBetween(2.8, 1e9)
        run.run()
        assertEquals(3, run.of("pause").size)
        assertTrue(run.of("pause").none { it.flag("recovered") })
        assertEquals(listOf("60.0"), run.of("pause").map { it.text("waited_s") }.distinct())
        val marked = run.of("slowdown")
        assertEquals(3, marked.count { it.flag("dropped") })
        assertTrue(marked.drop(3).isNotEmpty() && marked.drop(3).none { it.flag("dropped") })
        val pauses = run.of("conditions").size
        assertTrue("conditions while waiting: $pauses", pauses > 3 * 6)
    }

    @Test
    fun `a thermal status is a slowdown`() {
        val hot = FakeRun(fakePlan(watched))
        hot.phone.thermal = { if (it > 2_800_000_000 && it < 9_000_000_000) 2 else 1 }
        hot.run()
        assertEquals("the thermal status is 2", hot.of("slowdown").first().text("reason"))
    }

    @Test
    fun `the time of the product alone judges no round`() {
        val run = FakeRun(fakePlan(watched))
        run.phone.slowness = { now -> if (now > 2_800_000_000) 1.5 else 1.0 }
        run.run()
        val products = run.of("block")
            .map { it.getValue("before").jsonObject.getValue("reference_ns").jsonPrimitive.long }
        assertTrue(products.max() > 1.4 * products.min())
        assertTrue(run.of("slowdown").isEmpty())
    }

    @Test
    fun `a round that nobody saw is dropped, watched or not`() {
        for (limit in listOf(60.0, 0.0)) {
            val run = FakeRun(fakePlan(watched.copy(pauseLimit = limit)))
            run.phone.hidden = { it in 2_800_000_000..3_200_000_000 }
            run.run()
            val found = run.of("slowdown")
            val reasons = found.map { it.text("reason") }.distinct()
            assertEquals(listOf("the app was not in front"), reasons)
            assertTrue(found.all { it.flag("dropped") })
            assertEquals(12 + 2 * found.size, run.of("block").size)
            assertTrue(run.of("pause").all { it.flag("recovered") == limit > 0 })
        }
    }

    @Test
    fun `an app that stays hidden is waited for, and its rounds say so`() {
        val run = FakeRun(fakePlan(watched))
        run.phone.hidden = { true }
        run.run()
        assertEquals(3, run.of("pause").count { it.text("waited_s") == "60.0" })
        assertEquals(6, run.of("slowdown").count { !it.flag("dropped") })
    }

    @Test
    fun `without a limit for pauses nothing is watched`() {
        val run = FakeRun(fakePlan(watched.copy(pauseLimit = 0.0)))
        run.phone.khz = slowBetween(2.0, 1e9)
        run.run()
        assertTrue(run.of("slowdown").isEmpty())
        assertTrue(run.of("pause").isEmpty())
    }

    @Test
    fun `a run that goes on remembers how fast the phone was at rest`() {
        val first = FakeRun(fakePlan(watched))
        first.run()
        val second = first.records.filter { it.kind == "block" && it.int("round") == 1 }.last()
        val earlier = first.records.take(first.records.indexOf(second) + 1)
        val run = FakeRun(fakePlan(watched))
        run.phone.khz = { 1_500_000 } // from the beginning
        run.run(earlier)
        assertTrue("below its first clock" in run.of("slowdown").first().text("reason"))
        val forgetful = FakeRun(fakePlan(watched))
        forgetful.phone.khz = { 1_500_000 }
        forgetful.run(earlier.filter { it.kind != "block" })
        assertTrue(forgetful.of("slowdown").isEmpty())
    }

    @Test
    fun `a pause is ended by a cancel`() {
        val run = FakeRun(fakePlan(watched))
        run.phone.khz = slowBetween(2.8, 1e9)
        run.cancelled = { run.of("slowdown").isNotEmpty() }
        assertTrue(run.run().cancelled)
        assertFalse(run.records.last().kind == "pause")
    }
}
