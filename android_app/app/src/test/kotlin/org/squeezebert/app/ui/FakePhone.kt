package org.squeezebert.app.ui

import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonArray
import kotlinx.serialization.json.putJsonObject
import org.squeezebert.core.benchmark.Phone

/** A phone at rest, with the clock of this machine. */
internal class FakePhone : Phone {
    override fun fingerprint(): JsonObject = buildJsonObject {
        put("kind", "app")
        put("model", "Robolectric")
        put("architecture", "x86_64")
        put("cores", 2)
        putJsonArray("features") {}
        put("memory_bytes", 8_000_000_000)
        put("system", "Android 15")
        put("emulated", false)
        putJsonObject("extra") {}
    }

    override fun versions() = mapOf("app" to "test")

    override fun conditions(): JsonObject = buildJsonObject {
        put("battery_celsius", 31.4)
        put("thermal_status", 0)
    }

    override fun sensors(): JsonObject = buildJsonObject {}

    override fun processCpuNanos() = System.nanoTime()

    override fun peakRssBytes() = 100_000_000L

    override fun pssBytes() = 90_000_000L

    override fun freeMemoryBytes() = 4_000_000_000L

    override fun isHidden() = false

    override fun nanoTime() = System.nanoTime()

    override fun utcNow() = "2026-01-31T12:00:00.000+00:00"

    override fun sleep(millis: Long) = Thread.sleep(millis)

    override fun thermalStatus() = 0
}
