package org.squeezebert.core.benchmark

import java.io.File
import kotlinx.serialization.json.put
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.core.UserError

class RecordFileTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val first = record("run") { put("text", "ä\n\"") }
    private val second = record("end") {}

    @Test
    fun `what is appended is read`() {
        val file = RecordFile(File(folder.root, "new/records.jsonl"))
        assertFalse(file.exists())
        assertEquals(emptyList<Any>(), file.read())
        file.append(first)
        file.append(second)
        assertTrue(file.exists())
        assertEquals(listOf(first, second), file.read())
    }

    @Test
    fun `a last line that was cut off does not count, wherever it was cut`() {
        val place = folder.newFile()
        val whole = "$first\n".toByteArray()
        val cut = "$second".toByteArray()
        for (length in 0..cut.size) {
            place.writeBytes(whole + cut.copyOf(length))
            assertEquals(listOf(first), RecordFile(place).read())
            assertEquals(whole.size + length, place.length().toInt()) // it may be written just now
            RecordFile(place).append(second)
            assertEquals(listOf(first, second), RecordFile(place).read())
        }
        place.writeBytes(cut)
        assertEquals(emptyList<Any>(), RecordFile(place).read())
    }

    @Test
    fun `a line that is no record is named`() {
        val place = folder.newFile()
        for (line in listOf("", "nonsense", "[]", "{}", "{\"schema\": \"squeezebert-record/2\"}")) {
            place.writeText("$first\n$line\n$second\n")
            val error = assertThrows(UserError::class.java) { RecordFile(place).read() }
            assertTrue(error.reason, "line 2" in error.reason)
        }
    }

    @Test
    fun `a full storage and a place that cannot be are said`() {
        val below = RecordFile(File(folder.newFile(), "records.jsonl"))
        assertThrows(UserError::class.java) { below.append(first) }
        val full = File("/dev/full")
        assumeTrue(full.exists())
        val error = assertThrows(UserError::class.java) { RecordFile(full).append(first) }
        assertTrue(error.reason, "No space left" in error.reason)
    }
}
