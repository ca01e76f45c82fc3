package org.squeezebert.packaging.zip

import java.io.Closeable
import java.io.DataOutputStream
import java.io.File
import java.io.OutputStream
import java.util.zip.CRC32
import java.util.zip.Deflater

/**
 * Writes a zip whose bytes depend on nothing but its entries: no times, no names of systems.
 *
 * Entries may be stored at an aligned offset, which a phone needs to map a library or the resource
 * table into memory as they lie in the APK.
 */
class ZipWriter(file: File) : Closeable {
    private val stream = CountedStream(file.outputStream().buffered())
    private val entries = mutableListOf<Entry>()

    /** Adds an entry compressed as far as zlib can. */
    fun addCompressed(name: String, content: ByteArray) {
        val deflater = Deflater(Deflater.BEST_COMPRESSION, true)
        deflater.setInput(content)
        deflater.finish()
        var compressed = ByteArray(content.size + content.size / 1000 + 64)
        val size = deflater.deflate(compressed)
        check(deflater.finished()) { "deflated data fits" }
        deflater.end()
        compressed = compressed.copyOf(size)
        add(Entry(name, DEFLATED, content, compressed.size), compressed, alignment = 1)
    }

    /** Adds an entry as it is; its first byte lies at a multiple of [alignment] in the file. */
    fun addStored(name: String, content: ByteArray, alignment: Int) {
        add(Entry(name, STORED, content, content.size), content, alignment)
    }

    private fun add(entry: Entry, data: ByteArray, alignment: Int) {
        entry.offset = stream.count
        val unaligned = stream.count + LOCAL_HEADER_BYTES + entry.nameBytes.size
        // The extra field is the room that the format leaves between a header and its data. It
        // names itself (a field of zipalign's) where it is not empty.
        var padding = ((alignment - unaligned % alignment) % alignment).toInt()
        if (padding in 1 until EXTRA_HEADER_BYTES) padding += alignment
        stream.littleEndian(LOCAL_HEADER, 4)
        writeCommonFields(entry)
        stream.littleEndian(padding.toLong(), 2)
        stream.write(entry.nameBytes)
        if (padding > 0) {
            stream.littleEndian(ALIGNMENT_FIELD, 2)
            stream.littleEndian((padding - EXTRA_HEADER_BYTES).toLong(), 2)
            stream.write(ByteArray(padding - EXTRA_HEADER_BYTES))
        }
        stream.write(data)
        entries += entry
    }

    /** From the version needed to the length of the name, which both headers have. */
    private fun writeCommonFields(entry: Entry) {
        stream.littleEndian(VERSION, 2)
        stream.littleEndian(UTF8_NAMES, 2)
        stream.littleEndian(entry.method, 2)
        stream.littleEndian(0, 2)
        stream.littleEndian(FIRST_OF_JANUARY_1981, 2)
        stream.littleEndian(entry.checksum, 4)
        stream.littleEndian(entry.compressedBytes.toLong(), 4)
        stream.littleEndian(entry.bytes.toLong(), 4)
        stream.littleEndian(entry.nameBytes.size.toLong(), 2)
    }

    override fun close() {
        stream.use {
            val start = stream.count
            for (entry in entries) {
                stream.littleEndian(CENTRAL_HEADER, 4)
                stream.littleEndian(VERSION, 2)
                writeCommonFields(entry)
                // No extra field, no comment, first disk, no attributes inside or outside.
                stream.write(ByteArray(12))
                stream.littleEndian(entry.offset, 4)
                stream.write(entry.nameBytes)
            }
            val bytes = stream.count - start
            stream.littleEndian(END_OF_DIRECTORY, 4)
            stream.littleEndian(0, 4)
            stream.littleEndian(entries.size.toLong(), 2)
            stream.littleEndian(entries.size.toLong(), 2)
            stream.littleEndian(bytes, 4)
            stream.littleEndian(start, 4)
            stream.littleEndian(0, 2)
        }
    }

    private class Entry(
        name: String,
        val method: Long,
        content: ByteArray,
        val compressedBytes: Int,
    ) {
        val nameBytes = name.toByteArray()
        val bytes = content.size
        val checksum = CRC32().apply { update(content) }.value
        var offset = 0L
    }

    private class CountedStream(stream: OutputStream) : Closeable {
        private val data = DataOutputStream(stream)
        var count = 0L
            private set

        fun write(bytes: ByteArray) {
            data.write(bytes)
            count += bytes.size
        }

        fun littleEndian(value: Long, bytes: Int) {
            write(ByteArray(bytes) { (value shr (8 * it)).toByte() })
        }

        override fun close() = data.close()
    }

    private companion object {
        const val STORED = 0L
        const val DEFLATED = 8L
        const val VERSION = 20L
        const val UTF8_NAMES = 0x0800L
        const val FIRST_OF_JANUARY_1981 = 0x0221L
        const val LOCAL_HEADER = 0x04034b50L
        const val CENTRAL_HEADER = 0x02014b50L
        const val END_OF_DIRECTORY = 0x06054b50L
        const val LOCAL_HEADER_BYTES = 30
        const val ALIGNMENT_FIELD = 0xd935L
        const val EXTRA_HEADER_BYTES = 4
    }
}
