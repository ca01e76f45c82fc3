package org.squeezebert.core.bundle

import java.io.File
import java.io.IOException
import java.io.InputStream
import java.security.MessageDigest
import org.squeezebert.core.UserError

/**
 * Compares size and SHA-256 of the files of [artifact] with the manifest; of every file of the
 * bundle (and every artifact) where it is null.
 *
 * Reads the files wholly. Throws [UserError] naming the first file that is missing or not the one
 * that was exported.
 */
fun checkFiles(bundle: Bundle, artifact: Artifact? = null) {
    checkFiles(bundle.folder, artifact?.files ?: filesOf(bundle))
}

/** Compares [files] below [folder] in the same way, whatever a manifest there says by now. */
fun checkFiles(folder: File, files: List<StoredFile>) {
    for (stored in files) checkFile(File(folder, stored.path), stored)
}

/** Every file that the manifest names, each once; twice where it says two things of it. */
internal fun filesOf(bundle: Bundle): List<StoredFile> =
    (bundle.files + bundle.artifacts.flatMap { it.files }).distinct()

private fun checkFile(file: File, stored: StoredFile) {
    if (!file.isFile) throw missing(stored)
    if (file.length() != stored.bytes) throw wrongSize(stored, "${file.length()} bytes")
    val hash = try {
        file.inputStream().use(::sha256)
    } catch (error: IOException) {
        throw UserError("${stored.path} cannot be read.", IMPORT_AGAIN, error)
    }
    if (hash != stored.sha256) throw wrongHash(stored)
}

/** SHA-256 of all that [stream] gives, in hexadecimal digits. */
internal fun sha256(stream: InputStream): String {
    val digest = MessageDigest.getInstance("SHA-256")
    val block = ByteArray(BLOCK_BYTES)
    while (true) {
        val count = stream.read(block)
        if (count < 0) return hexadecimal(digest)
        digest.update(block, 0, count)
    }
}

/** The digits of what [digest] has seen. */
internal fun hexadecimal(digest: MessageDigest): String =
    digest.digest().joinToString("") { (it.toInt() and 0xff).toString(16).padStart(2, '0') }

internal fun missing(stored: StoredFile) =
    UserError("${stored.path} is missing.", IMPORT_AGAIN)

internal fun wrongSize(stored: StoredFile, found: String) =
    UserError("${stored.path} has $found; the manifest says ${stored.bytes}.", IMPORT_AGAIN)

internal fun wrongHash(stored: StoredFile) =
    UserError("${stored.path} is not the file that was exported (other SHA-256).", IMPORT_AGAIN)

internal const val BLOCK_BYTES = 1 shl 16
private const val IMPORT_AGAIN = "Import the bundle again, or build it again if that fails too."
