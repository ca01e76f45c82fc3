package org.squeezebert.core.bundle

import java.io.ByteArrayInputStream
import java.io.File
import java.io.IOException
import java.io.InputStream
import org.squeezebert.core.UserError

/** What a [BundleStore] holds under [id]: the [bundle], or the [problem] that it cannot be read. */
class Installed(val id: String, val bundle: Bundle?, val problem: UserError?)

/**
 * The bundles that the app may use: a folder each in [root], named by its id.
 *
 * A bundle comes in wholly, with every hash compared, or not at all: it is written to a folder
 * whose name begins with a dot and then renamed. What a process that died has left of one is
 * removed by the next store that is opened, so only one store may be open on a folder. The methods
 * may be called from any thread; those that bring in or remove wait for each other.
 *
 * @param freeBytes the space that is left on the disk of [root].
 */
class BundleStore(val root: File, freeBytes: () -> Long = { root.usableSpace }) {
    private val folders = StoreFolders(root, freeBytes)

    init {
        folders.recover()
    }

    /** What is there, by id; a bundle that cannot be read with its problem. */
    fun list(): List<Installed> = folders.ids().map { id ->
        try {
            Installed(id, open(id), null)
        } catch (error: UserError) {
            Installed(id, null, error)
        }
    }

    /** The bundle [id]. Throws [UserError] where it is not there or its manifest is damaged. */
    fun open(id: String): Bundle {
        if (id !in folders.ids()) {
            throw UserError("There is no bundle \"$id\" in this app.", "Choose another one.")
        }
        return readBundle(File(root, id))
    }

    /**
     * Brings in the zip file of a bundle's folder; its manifest stands at the zip's root or in its
     * only folder. Only files that the manifest names, and the model card, are taken out.
     *
     * Needs space for the zip and its content at once. The id is made of [suggestedName] (without
     * ".zip"); the bundle that had it is replaced. [progress] is told the bytes done so far, first
     * of the zip, then of the files. Whatever it throws ends the import. Does not close [stream].
     *
     * Throws [UserError] where the zip is damaged or holds no bundle, where a name in it leads out
     * of it, where a file is missing, has another size or hash than the manifest says, and where
     * the storage is full; nothing is changed then.
     */
    fun importZip(stream: InputStream, suggestedName: String, progress: (Long) -> Unit): Bundle =
        folders.withPartial { partial ->
            val file = File(partial, "import.zip")
            val copied = writeFile(file, stream, folders, progress)
            openZip(file).use { zip ->
                val source = ZipSource(zip)
                val name = suggestedName.substringAfterLast('/').removeSuffix(".zip")
                bringIn(source, idFor(name), File(partial, CONTENT)) { progress(copied + it) }
            }
        }

    /** Brings in a copy of the bundle in [folder] as [importZip] does, under the id of [name]. */
    fun importFolder(folder: File, name: String): Bundle = folders.withPartial { partial ->
        bringIn(FolderSource(folder), idFor(name), File(partial, CONTENT)) {}
    }

    /**
     * Brings in a bundle that came with the app, [files] by their path in the bundle, under the id
     * of [name]. It takes the place of what an earlier version of the app has brought.
     *
     * Does nothing where the user has imported a bundle of this id, or has removed it, and where it
     * is there already, with the same manifest and its files.
     */
    fun install(name: String, files: Map<String, () -> InputStream>) {
        val id = idFor(name)
        val there = id in folders.ids()
        if (if (there) !File(File(root, id), SHIPPED).exists() else id in folders.removed()) return
        folders.withPartial { partial ->
            val source = OpenedSource(files)
            if (isThere(id, source)) return@withPartial
            bringIn(source, id, File(partial, CONTENT), shipped = true) {}
        }
    }

    /**
     * Removes the bundle [id]; nothing happens where it is not there. [install] does not bring it
     * back, [importZip] does.
     */
    fun remove(id: String) {
        if (id in folders.ids()) folders.remove(id)
    }

    private fun isThere(id: String, source: Source): Boolean {
        val manifest = File(File(root, id), MANIFEST_NAME)
        if (!manifest.isFile) return false
        if (!manifest.readBytes().contentEquals(manifestOf(source))) return false
        val bundle = readBundle(File(root, id))
        return filesOf(bundle).all { File(bundle.folder, it.path).length() == it.bytes }
    }

    private fun bringIn(
        source: Source,
        id: String,
        folder: File,
        shipped: Boolean = false,
        progress: (Long) -> Unit,
    ): Bundle {
        val manifest = manifestOf(source)
        val files = filesOf(parseManifest(File(id), manifest))
        folders.requireSpace(files.sumOf { it.bytes })
        var done = 0L
        for (stored in files) {
            val content = source.open(stored.path) ?: throw missing(stored)
            val before = done
            content.use { stream ->
                copyChecked(stored, stream, File(folder, stored.path)) { progress(before + it) }
            }
            done += stored.bytes
        }
        source.open(MODEL_CARD)?.use { stream ->
            val card = readAtMost(stream, LARGEST_CARD) ?: throw tooLarge(MODEL_CARD)
            writeFile(File(folder, MODEL_CARD), ByteArrayInputStream(card), folders) {}
        }
        if (shipped) File(folder, SHIPPED).createNewFile()
        // Last, so that only a whole folder is one of a bundle.
        writeFile(File(folder, MANIFEST_NAME), ByteArrayInputStream(manifest), folders) {}
        folders.moveIn(folder, id)
        return readBundle(File(root, id))
    }

    private fun copyChecked(
        stored: StoredFile,
        content: InputStream,
        file: File,
        progress: (Long) -> Unit,
    ) {
        val checked = CheckedStream(content, stored)
        writeFile(file, checked, folders, progress)
        checked.requireComplete()
    }

    private companion object {
        const val CONTENT = "bundle"

        /** In the folder of a bundle that came with the app. */
        const val SHIPPED = ".shipped"
        const val MODEL_CARD = "README.md"
        const val LARGEST_CARD = 1 shl 20
        const val LARGEST_MANIFEST = 16 shl 20

        fun manifestOf(source: Source): ByteArray {
            val stream = source.open(MANIFEST_NAME) ?: throw UserError(
                "This holds no bundle: there is no $MANIFEST_NAME in it.",
                "Choose the zip file of a folder that squeezebert-export has built.",
            )
            return try {
                stream.use { readAtMost(it, LARGEST_MANIFEST) } ?: throw tooLarge(MANIFEST_NAME)
            } catch (error: IOException) {
                throw damaged(error)
            }
        }
    }
}

/**
 * The name of a folder for a bundle called [name]: letters, digits, ".", "_" and "-" stay, at most
 * 64 of them; everything else becomes "-". Where that changes the name a short hash of it follows,
 * so that names in other scripts stay apart.
 */
internal fun idFor(name: String): String {
    // A dot in front marks the store's own folders.
    val id = OTHER_CHARACTERS.replace(name, "-").trimStart('.', '-').take(LONGEST_ID)
        .trimEnd('.', '-')
    if (id == name && id.isNotEmpty()) return id
    val hash = sha256(name.toByteArray().inputStream()).take(NAME_DIGITS)
    return "${id.take(LONGEST_ID - NAME_DIGITS - 1).ifEmpty { "bundle" }}-$hash"
}

private const val LONGEST_ID = 64
private const val NAME_DIGITS = 8
private val OTHER_CHARACTERS = Regex("[^A-Za-z0-9._-]")

private fun tooLarge(name: String) = UserError(
    "$name is larger than that of any bundle.",
    "Build the bundle again with squeezebert-export.",
)
