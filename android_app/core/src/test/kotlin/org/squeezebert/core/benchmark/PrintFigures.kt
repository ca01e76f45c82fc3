package org.squeezebert.core.benchmark

import java.io.File
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.double
import kotlinx.serialization.json.int
import kotlinx.serialization.json.intOrNull
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long
import kotlinx.serialization.json.longOrNull
import kotlinx.serialization.json.put

/**
 * Computes what a file asks for, and prints the answers as JSON: for every member of its object an
 * array of questions, answered by an array of the same length.
 */
fun main(arguments: Array<String>) {
    val asked = Json.parseToJsonElement(File(arguments[0]).readText()).jsonObject
    val answers = asked.mapValues { (name, questions) ->
        JsonArray(questions.jsonArray.map { answer(name, it) })
    }
    println(JsonObject(answers))
}

private fun answer(name: String, question: JsonElement): JsonElement = when (name) {
    "ratio" -> {
        val asked = question.jsonObject
        val found = ratio(sides(asked.getValue("baseline")), sides(asked.getValue("subject")))
        buildJsonObject {
            put("value", found?.value)
            put("low", found?.low)
            put("high", found?.high)
            put("verdict", found?.verdict)
        }
    }
    "steady" -> JsonPrimitive(isSteady(question.jsonArray.map { it.jsonPrimitive.long }))
    "step" -> JsonPrimitive(outputStep(question.jsonPrimitive.int))
    "integers" -> {
        val (seed, length, bound) = question.jsonArray.map { it.jsonPrimitive.int }
        numbers(RandomNumbers(seed, length).integers(bound, length).asList())
    }
    "distance" -> question.jsonObject.let {
        val apart = distance(outputs(it.getValue("found")), outputs(it.getValue("expected")))
        JsonPrimitive(if (apart.isFinite()) apart else null)
    }
    "clusters" -> question.jsonObject.let { cores ->
        val khz = cores.entries.associate { (cpu, core) ->
            cpu.toInt() to core.jsonObject["khz"]?.jsonPrimitive?.intOrNull
        }
        val parts = cores.entries.associate { (cpu, core) ->
            cpu.toInt() to core.jsonObject.text("part")
        }
        Clusters(khz, parts).document()
    }
    "slowed" -> question.jsonObject.let { asked ->
        val atRest = asked.getValue("at_rest").jsonArray.map(::round)
        val status = asked.getValue("thermal_status").jsonPrimitive.intOrNull
        JsonPrimitive(slowed(atRest, paceOf(round(asked.getValue("last"))), status).orEmpty())
    }
    "rounds" -> rounds(question.jsonObject)
    else -> error("unknown: $name")
}

private fun sides(blocks: JsonElement): Samples = blocks.jsonObject.entries.associate {
    it.key.toInt() to it.value.jsonArray.map { value -> value.jsonPrimitive.double }.toDoubleArray()
}

private fun outputs(element: JsonElement): Outputs = element.jsonObject.mapValues { (_, output) ->
    val values = output.jsonObject.getValue("values").jsonArray.map { it.jsonPrimitive.double }
    val shape = output.jsonObject.getValue("shape").jsonArray.map { it.jsonPrimitive.long }
    Output(shape, values.toDoubleArray())
}

/** Entry -> {"wall": [...], "khz": N}. */
private fun round(element: JsonElement): Round {
    val measured = element.jsonObject
    return measured.mapValues { (entry, block) ->
        val wall = block.jsonObject.getValue("wall").jsonArray.map { it.jsonPrimitive.long }
        val khz = block.jsonObject.getValue("khz").jsonPrimitive.int
        Block(entry, Case(8, 1), 0, 0, wall.toLongArray(), listOf(khz))
    }
}

/** What `Rounds` says of blocks [entry, round, position, wall ns], of drops and of failures. */
private fun rounds(asked: JsonObject): JsonElement {
    val failed = asked.getValue("failed").jsonArray.map { it.jsonPrimitive.content }.toSet()
    val rounds = Rounds(fakePlan(Settings(blocks = asked.int("blocks"))), failed)
    for (block in asked.getValue("measured").jsonArray) {
        val (entry, round, position, wall) = block.jsonArray
        val nanos = wall.jsonArray.map { it.jsonPrimitive.longOrNull ?: error("no number") }
        rounds.add(
            Block(
                entry.jsonPrimitive.content, Case(8, 1), round.jsonPrimitive.int,
                position.jsonPrimitive.int, nanos.toLongArray(), emptyList(),
            ),
        )
    }
    asked.getValue("dropped").jsonArray.forEach { rounds.drop(it.jsonPrimitive.int) }
    return buildJsonObject {
        put("missing", rounds.missing())
        put("forward", rounds.goesForward())
        put("next", rounds.nextNumber())
        put("last", rounds.lastComplete())
        put("complete", rounds.complete().size)
    }
}
