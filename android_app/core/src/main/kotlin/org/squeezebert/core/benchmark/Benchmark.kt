package org.squeezebert.core.benchmark

import java.io.File
import java.util.Locale
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import org.squeezebert.core.UserError
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.MEMORY_FACTOR

/**
 * Measures what a plan asks for, by the protocol of runtime_bench.
 *
 * What is different inside an app: one process holds all models, so that no memory is a model's
 * own; a model that hangs cannot be ended; there are no cold starts, since an app cannot empty the
 * page cache; and instead of a runtime's matrix product a small one in Kotlin is timed before each
 * round, which stands in the blocks' `before` and is no figure of the results. A round counts as
 * slowed down where the clocks or the thermal status say so, and where the app was not in front.
 *
 * @param folders where the files of an entry (by its id) lie, under their manifest's paths.
 * @param write takes every record as it comes, the run record first; what it throws ends the run.
 * @param cancelled is asked between any two inferences.
 */
class Benchmark(
    private val plan: BenchmarkPlan,
    private val phone: Phone,
    private val engines: List<Engine>,
    private val folders: (entryId: String) -> File,
    private val write: (JsonObject) -> Unit,
    private val progress: (Progress) -> Unit,
    private val cancelled: () -> Boolean,
) {
    /**
     * Measures what [earlier] (all records of a run that was interrupted) does not hold yet.
     *
     * Blocks the calling thread until everything is measured, or [cancelled]; all models are closed
     * on every way out. A model that fails is recorded, and the others go on. Throws [UserError]
     * where [earlier] is of another plan, phone or version, and what [write] throws.
     */
    fun run(earlier: List<JsonObject> = emptyList()): Outcome =
        run(earlier, MatrixProduct()::multiply)

    /** Like the other [run], with another [reference] work than the matrix product. */
    internal fun run(earlier: List<JsonObject>, reference: () -> Unit): Outcome {
        val before = Records(earlier)
        val head = runRecord()
        if (before.run == null) {
            write(head)
        } else {
            checkResumable(before.run, head)
            write(
                record("resume") {
                    put("started", phone.utcNow())
                    put("warnings", JsonArray(warnings()))
                },
            )
        }
        val checkCancelled = { if (cancelled()) throw Cancelled() }
        val schedule = Schedule(
            plan,
            phone,
            LoadedModels(plan.settings, phone, engines, folders, checkCancelled),
            Reference(phone, reference, checkCancelled),
            write,
            progress,
            checkCancelled,
            before,
        )
        val failed = try {
            schedule.run()
        } catch (_: Cancelled) {
            return Outcome(schedule.failed.sorted(), cancelled = true)
        }
        write(
            record("end") {
                put("ended", phone.utcNow())
                put("failed", texts(failed))
            },
        )
        return Outcome(failed, cancelled = false)
    }

    private fun runRecord(): JsonObject = record("run") {
        put("started", phone.utcNow())
        put("command", texts(plan.command))
        put(
            "device",
            buildJsonObject {
                put("name", plan.device)
                phone.fingerprint().forEach { (name, value) -> put(name, value) }
            },
        )
        put("versions", JsonObject(phone.versions().mapValues { JsonPrimitive(it.value) }))
        put("lengths", numbers(plan.lengths))
        put("threads", numbers(plan.threads))
        put("settings", plan.settings.document())
        put("entries", JsonArray(plan.entries.map { it.document }))
        put("warnings", JsonArray(plan.warnings + warnings()))
        put("notices", texts(plan.notices + ONE_PROCESS))
    }

    /** What speaks against measuring now: the gate of runtime_bench/gates.py that holds here. */
    private fun warnings(): List<JsonObject> {
        val held = plan.entries.sumOf { entry -> entry.artifact.files.sumOf { it.bytes } }
        val needed = held * MEMORY_FACTOR
        val free = phone.freeMemoryBytes()
        if (needed <= free) return emptyList()
        val warning = buildJsonObject {
            put("code", "memory")
            put(
                "message",
                "The models need about ${gigabytes(needed)}, " +
                    "${gigabytes(free.toDouble())} is free.",
            )
            put("remedy", "Measure fewer artifacts at once.")
            put("blocking", false)
        }
        return listOf(warning)
    }

    internal companion object {
        const val ONE_PROCESS = "Measured inside the app: one process holds all models, the " +
            "runtimes and the app itself, so that peak memory and PSS are of all of them, and " +
            "starts open the model again in the same process, with its file in the page cache."
    }
}

/** The user stopped the run. */
internal class Cancelled : Exception()

/** Throws [UserError] unless [now] would measure the same things in the same way and place. */
private fun checkResumable(earlier: JsonObject, now: JsonObject) {
    val names = mapOf(
        "device" to "another device",
        "lengths" to "other lengths",
        "threads" to "other thread counts",
        "settings" to "other settings",
        "versions" to "other versions",
        "entries" to "other artifacts",
    )
    for ((name, what) in names) {
        if (comparable(lasting(name, earlier)) != comparable(lasting(name, now))) {
            throw UserError(
                "The benchmark cannot go on: its results hold $what.",
                "Begin a new one.",
            )
        }
    }
}

/**
 * The member [name] of a run record; of the device without what depends on which cores are awake
 * when an app looks (header.py).
 */
private fun lasting(name: String, run: JsonObject): JsonElement? = when (val found = run[name]) {
    is JsonObject -> if (name == "device") JsonObject(found - CORE_FACTS) else found
    else -> found
}

private val CORE_FACTS = setOf("cores", "features", "clusters")

/** Numbers by their value: 10 and 10.0 are the same, whoever wrote them. */
private fun comparable(value: JsonElement?): Any? = when (value) {
    is JsonObject -> value.mapValues { comparable(it.value) }
    is JsonArray -> value.map(::comparable)
    is JsonPrimitive -> when {
        value.isString -> "\"${value.content}"
        else -> value.content.toDoubleOrNull() ?: value.content
    }
    null -> null
}

private fun gigabytes(bytes: Double) = "%.1f GB".format(Locale.ROOT, bytes / 1e9)
