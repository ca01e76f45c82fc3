package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonObject

/**
 * What the benchmark asks of the device. All of it is read while nothing computes.
 *
 * Names and units in the objects are those of runtime_bench/schema/record.schema.json. What the
 * device does not tell is left out, or null; it is never made up.
 */
interface Phone {
    /** The run record's `device`, without `name`. */
    fun fingerprint(): JsonObject

    /** Versions of the system and of the app, for the run record. */
    fun versions(): Map<String, String>

    /** The `conditions` of a conditions record; without members where nothing is told. */
    fun conditions(): JsonObject

    /** `{"khz": {CPU: clock}, "celsius": {SENSOR: degrees}}`, for both ends of a block. */
    fun sensors(): JsonObject

    /** CPU time of the whole process in nanoseconds, over all of its threads. */
    fun processCpuNanos(): Long

    /** The largest resident memory that the process ever had (`VmHWM`). */
    fun peakRssBytes(): Long

    /** The memory of the process now, shared pages divided by their users; null where not told. */
    fun pssBytes(): Long?

    /** How much memory can be taken before the system ends processes. */
    fun freeMemoryBytes(): Long

    /** A clock that only goes forward; differences are durations in nanoseconds. */
    fun nanoTime(): Long

    /** The moment in UTC, ISO 8601 with milliseconds and offset: 2026-01-31T12:00:00.000+00:00. */
    fun utcNow(): String

    /** Whether the user sees other apps now: Android keeps what is hidden from its fast cores. */
    fun isHidden(): Boolean

    /** Waits. */
    fun sleep(millis: Long)

    /** Android's thermal status (0 none, 1 light, 2 moderate, 3 severe, ...); null below API 29. */
    fun thermalStatus(): Int?
}
