package org.squeezebert.core.bundle

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.booleanOrNull
import kotlinx.serialization.json.doubleOrNull
import kotlinx.serialization.json.intOrNull
import kotlinx.serialization.json.longOrNull

/** A JSON document is not as it must be; [message] names the place: "model.layers is missing". */
internal class JsonProblem(message: String) : Exception(message)

/** The fields of a JSON object at [where]: of the kind that is asked for, or a [JsonProblem]. */
internal class JsonFields(val value: JsonObject, private val where: String = "") {

    fun text(name: String): String =
        textOf(required(name)) ?: throw JsonProblem("${place(name)} is no text")

    fun textOrNull(name: String): String? =
        if (isAbsent(name)) null else text(name)

    fun flag(name: String): Boolean =
        primitive(name)?.takeUnless { it.isString }?.booleanOrNull
            ?: throw JsonProblem("${place(name)} is neither true nor false")

    fun flagOrNull(name: String): Boolean? = if (isAbsent(name)) null else flag(name)

    fun integer(name: String): Int =
        primitive(name)?.takeUnless { it.isString }?.intOrNull
            ?: throw JsonProblem("${place(name)} is no integer")

    fun count(name: String): Int =
        integer(name).also { if (it < 1) throw JsonProblem("${place(name)} is less than 1") }

    /** A number that is neither infinite nor none. */
    fun number(name: String): Double =
        numberOf(required(name)) ?: throw JsonProblem("${place(name)} is no finite number")

    fun numbers(name: String): List<Double> = array(name).mapIndexed { index, element ->
        numberOf(element) ?: throw JsonProblem("${place(name)}[$index] is no finite number")
    }

    fun size(name: String): Long {
        val size = primitive(name)?.takeUnless { it.isString }?.longOrNull
            ?: throw JsonProblem("${place(name)} is no integer")
        if (size < 0) throw JsonProblem("${place(name)} is negative")
        return size
    }

    fun fields(name: String): JsonFields =
        JsonFields(
            required(name) as? JsonObject ?: throw JsonProblem("${place(name)} is no object"),
            place(name),
        )

    fun fieldsOrNull(name: String): JsonFields? = if (isAbsent(name)) null else fields(name)

    fun array(name: String): JsonArray =
        required(name) as? JsonArray ?: throw JsonProblem("${place(name)} is no array")

    fun texts(name: String): List<String> = array(name).mapIndexed { index, element ->
        textOf(element) ?: throw JsonProblem("${place(name)}[$index] is no text")
    }

    fun integerList(name: String): List<Int> = array(name).mapIndexed { index, element ->
        (element as? JsonPrimitive)?.takeUnless { it.isString }?.intOrNull
            ?: throw JsonProblem("${place(name)}[$index] is no integer")
    }

    fun objects(name: String): List<JsonFields> = array(name).mapIndexed { index, element ->
        val place = "${place(name)}[$index]"
        JsonFields(element as? JsonObject ?: throw JsonProblem("$place is no object"), place)
    }

    fun integers(): Map<String, Int> = value.keys.associateWith(::integer)

    /** A [JsonProblem] where there are other fields than [names], or one of these is missing. */
    fun requireExactly(names: Collection<String>) {
        names.forEach(::required)
        (value.keys - names.toSet()).firstOrNull()?.let {
            throw JsonProblem("${place(it)} is unknown")
        }
    }

    /** Whether the field is missing or null. */
    fun isAbsent(name: String): Boolean = value[name].let { it == null || it is JsonNull }

    fun place(name: String): String = if (where.isEmpty()) name else "$where.$name"

    private fun required(name: String): JsonElement =
        value[name] ?: throw JsonProblem("${place(name)} is missing")

    private fun primitive(name: String): JsonPrimitive? = required(name) as? JsonPrimitive

    private fun numberOf(element: JsonElement): Double? =
        (element as? JsonPrimitive)?.takeUnless { it.isString }?.doubleOrNull
            ?.takeIf { it.isFinite() }

    private fun textOf(element: JsonElement): String? =
        (element as? JsonPrimitive)?.takeIf { it.isString }?.content
}
