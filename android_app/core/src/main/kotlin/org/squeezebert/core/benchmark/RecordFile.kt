package org.squeezebert.core.benchmark

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.io.RandomAccessFile
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.contentOrNull
import org.squeezebert.core.UserError

/**
 * A results file: one JSON object a line, only ever appended to, by one thread. It may be read
 * meanwhile.
 *
 * A record is on the disk when [append] returns, so that neither the end of the process nor an
 * empty battery takes it away.
 */
class RecordFile(private val file: File) {
    /** Whether there is anything in it. */
    fun exists(): Boolean = file.length() > 0

    /**
     * The records, in order. A last line that was cut off, or is being written, is left out.
     *
     * Throws [UserError] where the file cannot be read, or a line is no record.
     */
    fun read(): List<JsonObject> {
        if (!file.exists()) return emptyList()
        val text = try {
            file.readText()
        } catch (error: IOException) {
            throw unreadable("cannot be read (${error.message})")
        }
        return text.split('\n').dropLast(1).mapIndexed { index, line -> record(index + 1, line) }
    }

    /**
     * Writes [record] behind the others, in place of a last line that was cut off.
     *
     * Throws [UserError] where that fails.
     */
    fun append(record: JsonObject) {
        try {
            file.absoluteFile.parentFile?.mkdirs()
            dropCutOffLine()
            FileOutputStream(file, true).use {
                it.write("$record\n".toByteArray())
                it.fd.sync()
            }
        } catch (error: IOException) {
            throw UserError(
                "The results cannot be written to ${file.name}: ${error.message}.",
                "Free some storage, then go on: nothing that was measured before is lost.",
                error,
            )
        }
    }

    private fun dropCutOffLine() {
        if (!file.exists()) return
        RandomAccessFile(file, "rw").use { stream ->
            var end = stream.length()
            while (end > 0) {
                stream.seek(end - 1)
                if (stream.read() == '\n'.code) break
                end--
            }
            if (end < stream.length()) stream.setLength(end)
        }
    }

    private fun record(number: Int, line: String): JsonObject {
        val found = try {
            Json.parseToJsonElement(line) as? JsonObject
        } catch (_: SerializationException) {
            null
        }
        val schema = (found?.get("schema") as? JsonPrimitive)?.contentOrNull
        if (found == null || schema != RECORD_SCHEMA) {
            throw unreadable("has a line $number that is no record of $RECORD_SCHEMA")
        }
        return found
    }

    private fun unreadable(what: String) =
        UserError("The results file ${file.name} $what.", "Remove the file, and measure again.")
}
