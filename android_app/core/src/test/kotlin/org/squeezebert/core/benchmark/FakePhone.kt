package org.squeezebert.core.benchmark

import java.time.Instant
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonObject

/** A phone whose clock only goes on while something computes or sleeps. */
class FakePhone : Phone {
    /** Nanoseconds since the phone was made. */
    var now = 0L

    /** How many times as long everything takes as at first, at a moment. */
    var slowness: (now: Long) -> Double = { 1.0 }
    var khz: (now: Long) -> Int = { 2_000_000 }
    var thermal: (now: Long) -> Int? = { 0 }
    var hidden: (now: Long) -> Boolean = { false }
    var freeMemory = 4_000_000_000L
    var model = "Fake"

    /** Something takes [nanos] at full speed. */
    fun compute(nanos: Long) {
        now += (nanos * slowness(now)).toLong()
    }

    override fun fingerprint(): JsonObject = buildJsonObject {
        put("kind", "app")
        put("model", model)
        put("architecture", "arm64-v8a")
        put("cores", 8)
        put("features", JsonArray(listOf(JsonPrimitive("asimddp"))))
        put("memory_bytes", 8_000_000_000L)
        put("system", "Android 15")
        put("emulated", false)
        putJsonObject("extra") {}
        val clocks = (0..7).associateWith { if (it < 4) 1_800_000 else 2_000_000 }
        put("clusters", Clusters(clocks).document())
    }

    override fun versions() = mapOf("app" to "0.1.0")

    override fun conditions(): JsonObject = buildJsonObject {
        putJsonObject("khz") { put("4", khz(now)) }
        putJsonObject("celsius") {}
        put("thermal_status", thermal(now))
        put("battery_percent", 80)
        put("battery_celsius", 30.5)
        put("charging", false)
        put("screen_on", JsonNull)
    }

    override fun sensors(): JsonObject = buildJsonObject {
        putJsonObject("khz") { put("4", khz(now)) }
        putJsonObject("celsius") { put("skin-0", 31.0) }
    }

    override fun processCpuNanos() = now

    override fun peakRssBytes() = 500_000_000L

    override fun pssBytes() = 300_000_000L

    override fun freeMemoryBytes() = freeMemory

    override fun isHidden() = hidden(now)

    override fun nanoTime() = now

    override fun utcNow(): String = MOMENT.format(START.plusNanos(now).atOffset(ZoneOffset.UTC))

    override fun sleep(millis: Long) {
        now += 1_000_000 * millis
    }

    override fun thermalStatus(): Int? = thermal(now)

    private companion object {
        val START: Instant = Instant.parse("2026-01-02T03:04:05Z")
        val MOMENT: DateTimeFormatter = DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSxxx")
    }
}

/** The time of the reference work on a fake phone at full speed. */
const val REFERENCE_NANOS = 5_000_000L
