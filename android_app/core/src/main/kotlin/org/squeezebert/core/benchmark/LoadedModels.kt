package org.squeezebert.core.benchmark

import java.io.File
import java.util.Locale
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model
import org.squeezebert.core.engine.Tensor
import org.squeezebert.core.engine.Tokens
import org.squeezebert.core.engine.neededMemoryBytes

/** A model said no, or answered wrongly: its entry is out of the run, and the others go on. */
internal class EntryFailure(reason: String) : Exception(reason)

/** The time of one inference, and its outputs. */
private class TimedRun(val wallNanos: Long, val cpuNanos: Long, val outputs: List<Tensor>)

/** Times of several inferences. The outputs are let go: those of a block could fill the memory. */
private class Times {
    val wall = mutableListOf<Long>()
    val cpu = mutableListOf<Long>()

    fun add(run: TimedRun) {
        wall += run.wallNanos
        cpu += run.cpuNanos
    }
}

/**
 * The models that are open now. All are held by this one process.
 *
 * Every method but [release] and [close] throws [EntryFailure] where a model says no.
 */
internal class LoadedModels(
    private val settings: Settings,
    private val phone: Phone,
    private val engines: List<Engine>,
    private val folders: (entryId: String) -> File,
    private val checkCancelled: () -> Unit,
) {
    private val held = mutableMapOf<String, Model>()

    fun holds(entry: PlanEntry): Boolean = entry.id in held

    /** Opens the model for the run; the load record. */
    fun load(entry: PlanEntry, threads: Int): JsonObject {
        val (version, nanos) = open(entry, threads)
        return record("load") {
            put("entry", entry.id)
            put("threads", threads)
            put("load_ns", nanos)
            // The process holds the app and other models, so that no memory is this model's own.
            put("rss_before_bytes", JsonNull)
            put("peak_rss_bytes", phone.peakRssBytes())
            put("versions", buildJsonObject { put(runtimeName(entry.target), version) })
            put("cpus_asked", numbers(emptyList()))
            put("cpus_got", numbers(emptyList()))
        }
    }

    /** Opens the model and runs it once; the start record. [release] it after that. */
    fun start(entry: PlanEntry, case: Case, repeat: Int): JsonObject {
        val (_, loadNanos) = open(entry, case.threads)
        val first = prepared(entry, case.length)
        return record("start") {
            put("entry", entry.id)
            put("length", case.length)
            put("threads", case.threads)
            put("repeat", repeat)
            put("cold", false)
            put("load_ns", loadNanos)
            put("first_inference_ns", first.wallNanos)
            put("cached_bytes", JsonNull)
        }
    }

    /** The first run, and runs until the time is steady; the record, and the outputs. */
    fun warmUp(entry: PlanEntry, case: Case): Pair<JsonObject, Outputs> {
        val first = prepared(entry, case.length)
        val wall = mutableListOf<Long>()
        val input = entry.inputs.getValue(case.length)
        val start = phone.nanoTime()
        val limit = start + nanoseconds(settings.warmUpLimit)
        val enough = start + nanoseconds(WARM_UP_SECONDS)
        while (phone.nanoTime().let { it < limit && !(it >= enough && isSteady(wall)) }) {
            wall += timed(entry, input).wallNanos
        }
        val record = record("warm_up") {
            put("entry", entry.id)
            put("length", case.length)
            put("threads", case.threads)
            put("first_inference_ns", first.wallNanos)
            put("steady", isSteady(wall))
            put("wall_ns", numbers(wall))
            put("outputs", describeOutputs(first.outputs))
        }
        return record to told(first.outputs)
    }

    /** Timed runs without a break. [reference]: the product's time before the round, ns. */
    fun block(
        entry: PlanEntry,
        case: Case,
        round: Int,
        position: Int,
        reference: Long,
    ): JsonObject {
        val started = phone.utcNow()
        val before = phone.sensors()
        val input = entry.inputs.getValue(case.length)
        val leadIn = timesFor(LEAD_IN_SECONDS, 1, entry, input)
        val runs = timesFor(settings.secondsPerBlock, settings.minimumIterations, entry, input)
        return record("block") {
            put("entry", entry.id)
            put("length", case.length)
            put("threads", case.threads)
            put("round", round)
            put("position", position)
            put("started", started)
            put("lead_in_ns", numbers(leadIn.wall))
            put("wall_ns", numbers(runs.wall))
            put("cpu_ns", numbers(runs.cpu))
            put("peak_rss_bytes", phone.peakRssBytes())
            // What other processes do is not told to an app.
            put("other_load", JsonNull)
            put("stolen", JsonNull)
            put("before", before.with(REFERENCE, reference))
            put("after", phone.sensors())
            put("pss_bytes", phone.pssBytes())
            put("energy_uj", JsonNull)
            put("throttled", JsonNull)
        }
    }

    /** Closes the entry's model, where it is open. */
    fun release(entry: PlanEntry) {
        held.remove(entry.id)?.close()
    }

    /** Closes all models. */
    fun close() {
        held.values.forEach(Model::close)
        held.clear()
    }

    /** The runtime's version, and the time that opening took. */
    private fun open(entry: PlanEntry, threads: Int): Pair<String, Long> {
        val engine = engines.firstOrNull { it.target == entry.target }
            ?: throw EntryFailure("This app has no runtime for models of ${entry.target}.")
        val version = when (val found = engine.availability()) {
            is Availability.Available -> found.version
            is Availability.Missing -> throw EntryFailure(sentences(found.why))
        }
        checkMemory(entry.artifact)
        checkCancelled()
        val file = File(folders(entry.id), entry.artifact.files.first().path)
        val start = phone.nanoTime()
        held[entry.id] = asked { engine.open(file, entry.artifact, threads) }
        return version to phone.nanoTime() - start
    }

    private fun checkMemory(artifact: Artifact) {
        val needed = neededMemoryBytes(artifact)
        val free = phone.freeMemoryBytes()
        if (needed > free) {
            throw EntryFailure(
                "It needs about ${megabytes(needed)} of memory, but only ${megabytes(free)} are " +
                    "free. Close other apps, or measure a smaller model.",
            )
        }
    }

    /** The first run, whose outputs must be finite and right. */
    private fun prepared(entry: PlanEntry, length: Int): TimedRun {
        val run = timed(entry, entry.inputs.getValue(length))
        notFinite(run.outputs)?.let {
            throw EntryFailure("The output $it is not finite. $PROVE")
        }
        val expected = entry.expected?.getValue(length) ?: return run
        val apart = distance(told(run.outputs), expected)
        if (!(apart <= entry.tolerance)) { // also where it is no number
            throw EntryFailure(
                "Its outputs are ${short(apart)} of their size away from those of the computer " +
                    "that made the plan (at most ${short(entry.tolerance)} for " +
                    "${entry.artifact.precision}), so nothing was measured. $PROVE",
            )
        }
        return run
    }

    /** Runs for so many [seconds], and at least [minimum] times. */
    private fun timesFor(seconds: Double, minimum: Int, entry: PlanEntry, input: Tokens): Times {
        val times = Times()
        val end = phone.nanoTime() + nanoseconds(seconds)
        while (times.wall.size < minimum || phone.nanoTime() < end) times.add(timed(entry, input))
        return times
    }

    private fun timed(entry: PlanEntry, input: Tokens): TimedRun {
        checkCancelled()
        val model = held.getValue(entry.id)
        val cpu = phone.processCpuNanos()
        val start = phone.nanoTime()
        val outputs = asked { model.run(input) }
        val wall = phone.nanoTime() - start
        return TimedRun(wall, phone.processCpuNanos() - cpu, outputs)
    }
}

/** What [call] gives; whatever a runtime throws is the entry's failure. */
private inline fun <T> asked(call: () -> T): T {
    try {
        return call()
    } catch (error: UserError) {
        throw EntryFailure(sentences(error))
    } catch (error: Exception) {
        throw EntryFailure("$error")
    } catch (error: LinkageError) {
        throw EntryFailure("$error")
    } catch (error: OutOfMemoryError) {
        throw EntryFailure("$error")
    }
}

/** A runtime's name in a load record's versions: as the other runners call it. */
private fun runtimeName(target: String) = if (target == "onnx") "onnxruntime" else target

private fun sentences(error: UserError) = "${error.reason} ${error.nextStep}"

private fun megabytes(bytes: Long) = "%.0f MB".format(Locale.ROOT, bytes / 1e6)

private fun short(value: Double) = "%.2g".format(Locale.ROOT, value)

private fun JsonObject.with(name: String, value: Long) = buildJsonObject {
    forEach { (key, member) -> put(key, member) }
    put(name, value)
}

private const val PROVE = "Prove the bundle with: squeezebert-export verify BUNDLE"
