package org.squeezebert.app.work

import java.io.ByteArrayOutputStream
import java.io.File
import java.io.InputStream
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.app.ui.demoFolders
import org.squeezebert.core.bundle.BundleStore

/** Imports whose every step runs at once, on this thread. */
class ImportingTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val store by lazy { BundleStore(folder.newFolder()) }
    private val background = Background(Runnable::run, Runnable::run)
    private val importing by lazy { Importing(store, background, {}, {}) }

    @Test
    fun cancellingWhileTheFilesAreComparedChangesNothing() {
        val source = Zip(atEnd = importing::cancel)
        assertTrue(importing.start(source))
        assertEquals(ImportState.None, importing.state)
        assertEquals(0, store.list().size)
        assertTrue(source.closed)
    }

    @Test
    fun whatIsDoneStaysDone() {
        importing.start(Zip {})
        importing.cancel()
        assertEquals(false, (importing.state as ImportState.Done).replaced)
        assertEquals(listOf("pairs"), store.list().map { it.id })
    }

    /** The zip file of a demo bundle; [atEnd] is called once it is read to its end. */
    private class Zip(private val atEnd: () -> Unit) : ImportSource {
        var closed = false

        override fun name() = "pairs.zip"

        override fun open(): InputStream {
            val content = zipped(demoFolders().first()).inputStream()
            return object : InputStream() {
                override fun read() = throw AssertionError("blocks are read, not bytes")

                override fun read(target: ByteArray, offset: Int, length: Int) =
                    content.read(target, offset, length).also { if (it < 0) atEnd() }
            }
        }

        override fun cancel() = Unit

        override fun close() {
            closed = true
        }
    }
}

private fun zipped(folder: File): ByteArray {
    val bytes = ByteArrayOutputStream()
    ZipOutputStream(bytes).use { zip ->
        for (file in folder.walk().filter(File::isFile)) {
            zip.putNextEntry(ZipEntry(file.relativeTo(folder).invariantSeparatorsPath))
            zip.write(file.readBytes())
        }
    }
    return bytes.toByteArray()
}
