package org.squeezebert.packaging.engines

import java.io.DataInputStream
import java.io.File
import java.util.zip.GZIPInputStream
import org.squeezebert.packaging.PackagingError

private const val BLOCK_BYTES = 512

/**
 * Unpacks those regular files of a `.tgz` whose names [wanted] accepts into [folder].
 *
 * Reads what npm packs: ustar headers, with long names split into prefix and name.
 */
fun unpackTar(archive: File, folder: File, wanted: (String) -> Boolean) {
    DataInputStream(GZIPInputStream(archive.inputStream().buffered())).use { stream ->
        val header = ByteArray(BLOCK_BYTES)
        while (true) {
            stream.readFully(header)
            if (header.all { it == 0.toByte() }) return
            val name = listOf(header.text(345, 155), header.text(0, 100))
                .filter { it.isNotEmpty() }
                .joinToString("/")
            val bytes = header.text(124, 12).trim().toLong(radix = 8)
            val padded = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES
            if (wanted(name)) {
                if (".." in name.split("/")) {
                    throw PackagingError("$name leaves the folder.", "Do not use ${archive.name}.")
                }
                val content = ByteArray(bytes.toInt())
                stream.readFully(content)
                stream.skipNBytes(padded - bytes)
                File(folder, name).apply { parentFile.mkdirs() }.writeBytes(content)
            } else {
                stream.skipNBytes(padded)
            }
        }
    }
}

private fun ByteArray.text(start: Int, length: Int): String {
    val range = start until start + length
    val end = range.firstOrNull { this[it] == 0.toByte() } ?: (start + length)
    return String(this, start, end - start)
}

