package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonObjectBuilder
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.int
import kotlinx.serialization.json.intOrNull
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import kotlinx.serialization.json.put
import org.squeezebert.core.UserError

/** The schema of every record (runtime_bench/records.py). */
internal const val RECORD_SCHEMA = "squeezebert-record/1"

/** A record of a [kind], with the members that [build] puts. */
internal fun record(kind: String, build: JsonObjectBuilder.() -> Unit): JsonObject =
    buildJsonObject {
        put("schema", RECORD_SCHEMA)
        put("kind", kind)
        build()
    }

internal fun numbers(values: Collection<Number>) = JsonArray(values.map(::JsonPrimitive))

internal fun texts(values: Collection<String>) = JsonArray(values.map(::JsonPrimitive))

/** What was measured of one model in one round, as its record holds it. */
internal class Block(
    val entry: String,
    val case: Case,
    val round: Int,
    val position: Int,
    val wallNanos: LongArray,
    val khzAfter: List<Int>,
)

/** The starts that a run need not repeat. */
internal data class Start(val entry: String, val threads: Int, val repeat: Int)

/** A round that slowed down; [dropped]: it does not count. */
internal class Slowdown(val case: Case, val round: Int, val dropped: Boolean)

/** The records of a run that the schedule and the summary look at. */
internal class Records(documents: List<JsonObject>) {
    /** The run record, the first of all. */
    val run: JsonObject?
    val blocks: List<Block>
    val slowdowns: List<Slowdown>
    val starts: Set<Start>

    /** Why an entry left the run, by its id. */
    val failures: Map<String, String>

    init {
        run = documents.firstOrNull()?.takeIf { it.kind == "run" }
        blocks = of(documents, "block", ::blockOf)
        slowdowns = of(documents, "slowdown") {
            Slowdown(caseOf(it), it.int("round"), it.getValue("dropped").jsonPrimitive.boolean)
        }
        starts = of(documents, "start") {
            Start(it.text("entry"), it.int("threads"), it.int("repeat"))
        }.toSet()
        failures = of(documents, "failure") { it.text("entry") to it.text("reason") }.toMap()
        if (documents.isNotEmpty() && run == null) {
            throw UserError(
                "The results do not begin with a run record.",
                "Remove their file, and measure again.",
            )
        }
    }

    /** The blocks that count. */
    fun counted(): List<Block> {
        val dropped = slowdowns.filter { it.dropped }.map { it.case to it.round }.toSet()
        return blocks.filter { (it.case to it.round) !in dropped }
    }

    private fun <T> of(
        documents: List<JsonObject>,
        kind: String,
        read: (JsonObject) -> T,
    ): List<T> = understood { documents.filter { it.kind == kind }.map(read) }
}

/** What [read] gives; throws [UserError] where it finds something missing or of another type. */
internal fun <T> understood(read: () -> T): T {
    try {
        return read()
    } catch (error: NoSuchElementException) {
        throw broken(error)
    } catch (error: IllegalArgumentException) { // a number's format, another kind of element
        throw broken(error)
    }
}

private fun broken(error: Exception) = UserError(
    "The results hold a record that lacks something (${error.message}).",
    "Remove their file, and measure again.",
    error,
)

internal fun blockOf(record: JsonObject): Block {
    val after = (record["after"] as? JsonObject)?.get("khz") as? JsonObject
    return Block(
        record.text("entry"),
        caseOf(record),
        record.int("round"),
        record.int("position"),
        record.getValue("wall_ns").jsonArray.map { it.jsonPrimitive.long }.toLongArray(),
        after.orEmpty().values.mapNotNull { it.jsonPrimitive.intOrNull },
    )
}

/** The member of a block's `before` that holds the time of the reference product, ns. */
internal const val REFERENCE = "reference_ns"

internal val JsonObject.kind: String? get() = (this["kind"] as? JsonPrimitive)?.contentOrNull

internal fun JsonObject.text(name: String): String = getValue(name).jsonPrimitive.content

internal fun JsonObject.int(name: String): Int = getValue(name).jsonPrimitive.int

private fun caseOf(record: JsonObject) = Case(record.int("length"), record.int("threads"))

/** Whether anything is told: not only nulls and objects without members. */
internal fun tellsAnything(conditions: JsonObject): Boolean =
    conditions.values.any { it !is JsonNull && !(it is JsonObject && it.jsonObject.isEmpty()) }
