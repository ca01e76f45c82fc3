package org.squeezebert.core.benchmark

import kotlin.math.abs
import kotlin.math.roundToInt
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.put

// The figures of runtime_bench/schedule.py, whose reasons stand there.
internal const val START_LENGTH = 128
internal const val PAUSE_STEP = 10.0
internal const val MOST_PAUSES = 3

/** Who computes when: interleaving, warm-up, pauses, resume, and what follows a failure. */
internal class Schedule(
    private val plan: BenchmarkPlan,
    private val phone: Phone,
    private val models: LoadedModels,
    private val reference: Reference,
    private val write: (JsonObject) -> Unit,
    private val report: (Progress) -> Unit,
    private val checkCancelled: () -> Unit,
    earlier: Records,
) {
    /** Ids of the entries that are out of the run. */
    val failed = earlier.failures.keys.toMutableSet()

    private val settings = plan.settings
    private val started = earlier.starts
    private val rounds = plan.cases.associateWith { Rounds(plan, failed) }
    private var conditions: JsonObject? = null
    private var thermalStatus: Int? = null
    private var hidden = false
    private var slowedDown: String? = null

    init {
        earlier.blocks.forEach { rounds[it.case]?.add(it) }
        earlier.slowdowns.filter { it.dropped }.forEach { rounds[it.case]?.drop(it.round) }
    }

    /** Measures everything that is missing; the ids of the entries that failed, sorted. */
    fun run(): List<String> {
        for (threads in plan.threads) {
            val missing = plan.cases.filter { it.threads == threads && roundsOf(it).missing() > 0 }
            if (missing.isEmpty()) continue
            try {
                startRepeatedly(threads)
                load(threads)
                missing.forEach(::measure)
            } finally {
                models.close()
            }
        }
        return failed.sorted()
    }

    /** Starts in turns, with no other model open. */
    private fun startRepeatedly(threads: Int) {
        val length = plan.lengths.minWith(compareBy({ abs(it - START_LENGTH) }, { it }))
        for (repeat in 0 until settings.starts) {
            for (entry in order(plan.entries, repeat % 2 == 0)) {
                if (entry.id in failed || Start(entry.id, threads, repeat) in started) continue
                say("${named(threads)}: start of ${entry.label}")
                try {
                    write(models.start(entry, Case(length, threads), repeat))
                } catch (error: EntryFailure) {
                    fail(entry, threads, null, "start", error)
                } finally {
                    models.release(entry)
                }
            }
        }
    }

    private fun load(threads: Int) {
        for (entry in plan.entries.filter { it.id !in failed }) {
            say("${named(threads)}: loading ${entry.label}")
            try {
                write(models.load(entry, threads))
            } catch (error: EntryFailure) {
                fail(entry, threads, null, "load", error)
            }
        }
    }

    private fun measure(case: Case) {
        val where = "${named(case.threads)}, ${case.length} tokens"
        warmUp(case, where)
        observe(case)
        val rounds = roundsOf(case)
        // The run may have been interrupted before it judged the round.
        rounds.lastComplete()?.let { judge(case, it, null, wasHidden = false, drop = true) }
        var pauses = 0
        while (true) {
            val missing = rounds.missing()
            if (missing == 0) return
            val total = rounds.complete().size + missing
            val number = rounds.nextNumber()
            say("$where: round ${total - missing + 1} of $total")
            measureRound(case, number, rounds.goesForward())
            observe(case)
            val again = pauses < MOST_PAUSES
            val reason = judge(case, number, thermalStatus, hidden, drop = again)
            slowedDown = reason
            if (reason != null && again) {
                pauses++
                pause(where, case, number, reason)
            }
        }
    }

    private fun measureRound(case: Case, number: Int, forward: Boolean) {
        val product = reference.measure()
        hidden = phone.isHidden()
        order(alive(), forward).forEachIndexed { position, entry ->
            try {
                val block = models.block(entry, case, number, position, product)
                write(block)
                roundsOf(case).add(blockOf(block))
                hidden = hidden || phone.isHidden()
            } catch (error: EntryFailure) {
                fail(entry, case.threads, case.length, "block", error)
            }
        }
    }

    /** Write how the phone is, where it tells. */
    private fun observe(case: Case) {
        val found = phone.conditions()
        thermalStatus = phone.thermalStatus()
        if (!tellsAnything(found)) return
        conditions = found
        write(
            record("conditions") {
                put("at", phone.utcNow())
                put("length", case.length)
                put("threads", case.threads)
                put("conditions", found)
            },
        )
    }

    /** Writes why a round is suspect, and leaves it out where [drop]; null where it is not. */
    private fun judge(
        case: Case,
        number: Int,
        thermalStatus: Int?,
        wasHidden: Boolean,
        drop: Boolean,
    ): String? {
        val rounds = roundsOf(case)
        val pace = paceOf(rounds.round(number))
        val reason = when {
            wasHidden -> HIDDEN
            settings.pauseLimit > 0 -> slowed(atRest(case, number), pace, thermalStatus)
            else -> null
        } ?: return null
        // Before any wait: an interruption must not make the round count.
        write(
            record("slowdown") {
                put("at", phone.utcNow())
                put("length", case.length)
                put("threads", case.threads)
                put("round", number)
                put("reason", reason)
                put("dropped", drop)
            },
        )
        if (drop) rounds.drop(number)
        return reason
    }

    /** The first two rounds with this many threads, before round [number] of [case]. */
    private fun atRest(case: Case, number: Int): List<Round> {
        for (other in plan.cases.filter { it.threads == case.threads }) {
            val found = roundsOf(other).complete(if (other == case) number else null)
            if (found.size >= 2 || other == case) return found.take(2)
        }
        return emptyList()
    }

    /** Waits until the app is in front and as fast as at first, or the limit is over. */
    private fun pause(where: String, case: Case, number: Int, reason: String) {
        var waited = 0.0
        var recovered = false
        while (!recovered && waited < settings.pauseLimit) {
            say("$where: $reason; waiting until that is over (${waited.roundToInt()} s)")
            wait(PAUSE_STEP)
            waited += PAUSE_STEP
            observe(case)
            val atRest = atRest(case, number)
            recovered = !phone.isHidden() && slowed(atRest, probe(), thermalStatus) == null
        }
        if (recovered) slowedDown = null
        write(
            record("pause") {
                put("at", phone.utcNow())
                put("length", case.length)
                put("threads", case.threads)
                put("dropped", number)
                put("reason", reason)
                put("waited_s", waited)
                put("recovered", recovered)
            },
        )
    }

    /** The pace after the product alone: the clock right after it, for every entry. */
    private fun probe(): Pace {
        reference.measure()
        val clocks = phone.sensors()["khz"] as? JsonObject
        val khz = clocks.orEmpty().values
            .mapNotNull { (it as? JsonPrimitive)?.content?.toIntOrNull() }.maxOrNull() ?: 0
        return alive().associate { it.id to khz }
    }

    private fun wait(seconds: Double) {
        repeat((seconds * 1000 / WAIT_MILLIS).roundToInt()) {
            checkCancelled()
            phone.sleep(WAIT_MILLIS)
        }
    }

    private fun warmUp(case: Case, where: String) {
        val outputs = mutableMapOf<String, Outputs>()
        for (entry in alive()) {
            say("$where: warming up ${entry.label}")
            try {
                val (record, found) = models.warmUp(entry, case)
                write(record)
                outputs[entry.id] = found
            } catch (error: EntryFailure) {
                fail(entry, case.threads, case.length, "warm-up", error)
            }
        }
        for ((entry, other) in comparisons(alive())) {
            val found = agreement(outputs.getValue(entry.id), outputs.getValue(other.id))
            write(
                record("check") {
                    put("entry", entry.id)
                    put("reference", other.id)
                    put("length", case.length)
                    put("threads", case.threads)
                    put("cosine", found.cosine)
                    put("largest_difference", found.largestDifference)
                },
            )
        }
    }

    /** The entry is out of the rest of the run, and the others go on. */
    private fun fail(
        entry: PlanEntry,
        threads: Int,
        length: Int?,
        stage: String,
        error: EntryFailure,
    ) {
        models.release(entry)
        failed += entry.id
        val reason = error.message.orEmpty()
        write(
            record("failure") {
                put("entry", entry.id)
                put("threads", threads)
                put("length", length)
                put("stage", stage)
                put("reason", reason)
            },
        )
        say("failed: ${entry.label}: $reason")
    }

    private fun say(text: String) {
        val done = rounds.values.sumOf { it.complete().size }
        val missing = rounds.values.sumOf { it.missing() }
        report(Progress(text, done, done + missing, conditions, slowedDown))
    }

    private fun alive() = plan.entries.filter(models::holds)

    private fun roundsOf(case: Case) = rounds.getValue(case)

    private companion object {
        const val HIDDEN = "the app was not in front"

        /** Between two looks at whether the user stopped the run. */
        const val WAIT_MILLIS = 200L
    }
}

private fun named(threads: Int) = "$threads thread" + if (threads == 1) "" else "s"
