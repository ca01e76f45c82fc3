package org.squeezebert.packaging

import java.io.File
import java.util.zip.ZipFile
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.packaging.zip.PlacedEntry
import org.squeezebert.packaging.zip.ZipWriter
import org.squeezebert.packaging.zip.readZipLayout

class ZipWriterTest {
    @get:Rule val folder = TemporaryFolder()

    private val text = "squeeze ".repeat(1000).toByteArray()

    private fun write(name: String, alignment: Int): File {
        val file = folder.newFile(name)
        ZipWriter(file).use { writer ->
            writer.addCompressed("text", text)
            writer.addStored("größe", byteArrayOf(1, 2, 3), alignment)
            writer.addStored("empty", ByteArray(0), alignment)
            writer.addStored("last", byteArrayOf(4), alignment)
        }
        return file
    }

    @Test
    fun javaReadsWhatWasWritten() {
        ZipFile(write("a.zip", PAGE_BYTES)).use { zip ->
            val entries = zip.entries().toList()
            assertEquals(listOf("text", "größe", "empty", "last"), entries.map { it.name })
            val contents = entries.map { entry -> zip.getInputStream(entry).use { it.readBytes() } }
            assertArrayEquals(text, contents[0])
            assertArrayEquals(byteArrayOf(1, 2, 3), contents[1])
            assertEquals(0, contents[2].size)
            assertTrue(entries[0].compressedSize < text.size / 10)
        }
    }

    @Test
    fun storedEntriesLieAligned() {
        for (alignment in listOf(1, 4, 4096, PAGE_BYTES)) {
            val file = write("$alignment.zip", alignment)
            val layout = readZipLayout(file)
            val stored = layout.filter { it.stored }
            assertEquals(3, stored.size)
            assertTrue(stored.all { it.offset % alignment == 0L })
            val bytes = file.readBytes()
            val entry = stored.first()
            assertEquals(PlacedEntry("größe", entry.offset, 3, true), entry)
            assertEquals(2.toByte(), bytes[entry.offset.toInt() + 1])
        }
        val unaligned = readZipLayout(write("b.zip", 1)).filter { it.stored }
        assertFalse(unaligned.all { it.offset % 4 == 0L })
    }

    @Test
    fun sameEntriesGiveSameBytes() {
        assertArrayEquals(write("c.zip", 4).readBytes(), write("d.zip", 4).readBytes())
    }
}
