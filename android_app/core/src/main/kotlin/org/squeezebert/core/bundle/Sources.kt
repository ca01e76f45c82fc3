package org.squeezebert.core.bundle

import java.io.ByteArrayOutputStream
import java.io.File
import java.io.FilterInputStream
import java.io.IOException
import java.io.InputStream
import java.security.MessageDigest
import java.util.zip.ZipEntry
import java.util.zip.ZipFile
import org.squeezebert.core.UserError

/** Where a bundle comes from. */
internal interface Source {
    /** The file at [path], relative to the bundle, or null where there is none. */
    fun open(path: String): InputStream?
}

internal class FolderSource(private val folder: File) : Source {
    override fun open(path: String): InputStream? =
        File(folder, path).takeIf { it.isFile }?.inputStream()
}

internal class OpenedSource(private val files: Map<String, () -> InputStream>) : Source {
    override fun open(path: String): InputStream? = files[path]?.invoke()
}

/** A [zip] with the manifest at its root or in its only folder. No name in it leads out of it. */
internal class ZipSource(private val zip: ZipFile) : Source {
    private val entries = HashMap<String, ZipEntry>()
    private val folder: String

    init {
        for (entry in zip.entries()) {
            if (!isInside(entry.name.removeSuffix("/"))) {
                throw UserError(
                    "The zip file names \"${entry.name}\", which leads out of its folder.",
                    "Do not trust where it comes from; import another one.",
                )
            }
            if (!entry.isDirectory) entries[entry.name] = entry
        }
        folder = entries.keys.filter { it == MANIFEST_NAME || it.endsWith("/$MANIFEST_NAME") }
            .map { it.removeSuffix(MANIFEST_NAME) }
            .filter { it.count { character -> character == '/' } <= 1 }
            .minByOrNull { it.length }
            .orEmpty()
    }

    override fun open(path: String): InputStream? =
        entries["$folder$path"]?.let { zip.getInputStream(it) }
}

/** The zip file [file]; [UserError] where it is none. */
internal fun openZip(file: File): ZipFile = try {
    ZipFile(file)
} catch (error: IOException) {
    throw damaged(error)
} catch (error: IllegalArgumentException) { // a name that is not in UTF-8
    throw damaged(error)
}

internal fun damaged(cause: Exception) = UserError(
    "This is no zip file, or a damaged one.",
    "Choose the zip file of a folder that squeezebert-export has built, or copy it again.",
    cause,
)

/** The content of [stored] as it is read: never more than there should be. */
internal class CheckedStream(stream: InputStream, private val stored: StoredFile) :
    FilterInputStream(stream) {
    private val digest = MessageDigest.getInstance("SHA-256")
    private var bytes = 0L

    override fun read(): Int {
        val one = ByteArray(1)
        return if (read(one, 0, 1) < 0) -1 else one[0].toInt() and 0xff
    }

    override fun read(buffer: ByteArray, offset: Int, length: Int): Int {
        val count = try {
            super.read(buffer, offset, length)
        } catch (error: IOException) {
            throw UserError(
                "${stored.path} cannot be read to its end.",
                "The copy of the bundle is damaged: copy it again.",
                error,
            )
        }
        if (count > 0) {
            bytes += count
            if (bytes > stored.bytes) throw wrongSize(stored, "more bytes")
            digest.update(buffer, offset, count)
        }
        return count
    }

    /** After the end: [UserError] where that came too early or the content is another one. */
    fun requireComplete() {
        if (bytes != stored.bytes) throw wrongSize(stored, "$bytes bytes")
        if (hexadecimal(digest) != stored.sha256) throw wrongHash(stored)
    }
}

/** All of [stream], or null where it gives more than [limit] bytes. */
internal fun readAtMost(stream: InputStream, limit: Int): ByteArray? {
    val found = ByteArrayOutputStream()
    val block = ByteArray(BLOCK_BYTES)
    while (true) {
        val count = stream.read(block)
        if (count < 0) return found.toByteArray()
        if (found.size() + count > limit) return null
        found.write(block, 0, count)
    }
}
