package org.squeezebert.core.bundle

import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.io.InputStream
import org.squeezebert.core.UserError

/**
 * The folders of a [BundleStore] in [root]. A name that begins with a dot is not a bundle's:
 * `.partial-N` is being written, `.replaced-ID` was what [moveIn] is putting something else for.
 * The file `.removed` holds the ids that were ever removed, one a line.
 */
internal class StoreFolders(private val root: File, private val freeBytes: () -> Long) {

    /** The ids of all bundles, sorted. */
    fun ids(): List<String> = contentOf(root)
        .filter { it.isDirectory && !it.name.startsWith('.') }
        .map { it.name }
        .sorted()

    /** Undoes what a process that died has left half-done. */
    @Synchronized
    fun recover() {
        for (folder in contentOf(root)) {
            val id = folder.name.removePrefix(REPLACED)
            when {
                folder.name.startsWith(PARTIAL) -> delete(folder)
                id == folder.name -> continue
                File(root, id).exists() -> delete(folder)
                else -> rename(folder, File(root, id))
            }
        }
    }

    /** Runs [work], one at a time, with a fresh folder that is removed afterwards. */
    @Synchronized
    fun <T> withPartial(work: (File) -> T): T {
        val partial = generateSequence(0) { it + 1 }.map { File(root, "$PARTIAL$it") }
            .first { !it.exists() }
        return try {
            if (!partial.mkdirs()) throw refused("The bundle", null)
            work(partial)
        } catch (error: IOException) {
            throw refused("The bundle", error)
        } finally {
            delete(partial)
        }
    }

    /** Makes [folder] the bundle [id]; the one that was there goes. */
    @Synchronized
    fun moveIn(folder: File, id: String) {
        val destination = File(root, id)
        val replaced = File(root, "$REPLACED$id")
        if (destination.exists()) rename(destination, replaced)
        try {
            rename(folder, destination)
        } catch (error: UserError) {
            if (replaced.exists()) rename(replaced, destination)
            throw error
        }
        delete(replaced)
    }

    /** Removes the bundle [id]: for readers in one step. */
    @Synchronized
    fun remove(id: String) {
        withPartial { partial ->
            // First, since what is removed must not come back.
            if (id !in removed()) {
                val list = File(partial, REMOVED)
                list.writeText((removed() + id).joinToString("") { "$it\n" })
                rename(list, File(root, REMOVED))
            }
            rename(File(root, id), File(partial, id))
        }
    }

    /** The ids that were ever removed. */
    fun removed(): List<String> =
        File(root, REMOVED).takeIf { it.isFile }?.readLines().orEmpty()

    /** Throws [UserError] where [bytes] more would not leave the system some room. */
    fun requireSpace(bytes: Long) {
        val free = freeBytes()
        if (bytes > free - RESERVE_BYTES) throw storageFull(bytes + RESERVE_BYTES, free)
    }

    private fun rename(from: File, to: File) {
        if (!from.renameTo(to)) throw refused(to.name, null)
    }

    private companion object {
        const val PARTIAL = ".partial-"
        const val REPLACED = ".replaced-"
        const val REMOVED = ".removed"

        /** Left free: with a full disk Android and other apps stop working. */
        const val RESERVE_BYTES = 32L shl 20
    }
}

/**
 * Writes all of [content] to [file] and on to the disk; gives the number of bytes. Before every
 * block it is seen whether there is space in [folders], and [progress] is told the bytes so far.
 */
internal fun writeFile(
    file: File,
    content: InputStream,
    folders: StoreFolders,
    progress: (Long) -> Unit,
): Long {
    file.parentFile?.mkdirs()
    var written = 0L
    try {
        FileOutputStream(file).use { output ->
            val block = ByteArray(BLOCK_BYTES)
            while (true) {
                val count = content.read(block)
                if (count < 0) break
                folders.requireSpace(count.toLong())
                output.write(block, 0, count)
                written += count
                progress(written)
            }
            output.fd.sync()
        }
    } catch (error: IOException) {
        throw refused(file.name, error)
    }
    return written
}

private fun refused(what: String, cause: IOException?) = UserError(
    "$what could not be copied into the app: ${cause?.message ?: "the folder refuses it"}.",
    "Look whether the file can be read and whether the storage is full; then try again.",
    cause,
)

private fun storageFull(needed: Long, free: Long) = UserError(
    "The storage is full: ${needed / MEBIBYTE + 1} MiB are needed and ${free / MEBIBYTE} are free.",
    "Remove a bundle or other files and try again.",
)

private fun contentOf(folder: File): List<File> = folder.listFiles().orEmpty().toList()

private fun delete(folder: File) {
    folder.deleteRecursively()
}

private const val MEBIBYTE = 1L shl 20
