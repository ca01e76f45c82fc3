package org.squeezebert.packaging.zip

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.squeezebert.packaging.PackagingError

/** An entry of a zip: [offset] of its data in the file, and whether it lies there as it is. */
data class PlacedEntry(val name: String, val offset: Long, val bytes: Long, val stored: Boolean)

/** Where the entries of [zip] lie, which java.util.zip does not tell. */
fun readZipLayout(zip: File): List<PlacedEntry> {
    val data = ByteBuffer.wrap(zip.readBytes()).order(ByteOrder.LITTLE_ENDIAN)
    // An APK has no comment: the end record is the file's last 22 bytes.
    val end = data.limit() - 22
    if (end < 0 || data.getInt(end) != 0x06054b50) {
        throw PackagingError("${zip.name} is not a zip without comment.", "Build it again.")
    }
    var position = data.getInt(end + 16)
    return List(data.getShort(end + 10).toInt() and 0xffff) {
        val nameBytes = data.unsignedShort(position + 28)
        val header = data.getInt(position + 42)
        val start = header + 30 + data.unsignedShort(header + 26) + data.unsignedShort(header + 28)
        val entry =
            PlacedEntry(
                name = String(data.array(), position + 46, nameBytes),
                offset = start.toLong(),
                bytes = data.getInt(position + 24).toLong() and 0xffffffffL,
                stored = data.unsignedShort(position + 10) == 0,
            )
        position +=
            46 + nameBytes + data.unsignedShort(position + 30) + data.unsignedShort(position + 32)
        entry
    }
}

private fun ByteBuffer.unsignedShort(position: Int) = getShort(position).toInt() and 0xffff
