package org.squeezebert.packaging

import java.io.File
import java.nio.file.Files
import java.nio.file.StandardCopyOption
import java.security.MessageDigest

/** Renames this file to [target], which is replaced. */
fun File.replace(target: File) {
    Files.move(toPath(), target.toPath(), StandardCopyOption.REPLACE_EXISTING)
}

/** The file's SHA-256 in lower-case hexadecimal digits. */
fun File.sha256(): String {
    val digest = MessageDigest.getInstance("SHA-256")
    inputStream().use { stream ->
        val buffer = ByteArray(1 shl 16)
        while (true) {
            val count = stream.read(buffer)
            if (count < 0) break
            digest.update(buffer, 0, count)
        }
    }
    return digest.digest().joinToString("") { "%02x".format(it) }
}

/** Contents of the files below [folder] by path, with forward slashes. */
fun filesBelow(folder: File): Map<String, ByteArray> =
    folder
        .walkTopDown()
        .filter { it.isFile }
        .associate { it.relativeTo(folder).invariantSeparatorsPath to it.readBytes() }
