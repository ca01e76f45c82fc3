package org.squeezebert.packaging.inspect

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A part of a library that the linker maps: where it lies in file and memory, its alignment. */
data class LoadSegment(val offset: Long, val address: Long, val alignment: Long)

/** The LOAD segments of a 64-bit little-endian ELF [library]; empty where it is none. */
fun readLoadSegments(library: ByteArray): List<LoadSegment> {
    val data = ByteBuffer.wrap(library).order(ByteOrder.LITTLE_ENDIAN)
    val isElf = library.size > 64 && data.getInt(0) == 0x464c457f
    if (!isElf || library[4] != 2.toByte() || library[5] != 1.toByte()) return emptyList()
    val table = data.getLong(32).toInt()
    val entryBytes = data.getShort(54).toInt()
    return (0 until data.getShort(56))
        .map { table + it * entryBytes }
        .filter { data.getInt(it) == 1 }
        .map { LoadSegment(data.getLong(it + 8), data.getLong(it + 16), data.getLong(it + 48)) }
}
