package org.squeezebert.core.bundle

import java.io.ByteArrayInputStream
import java.io.File
import java.io.IOException
import java.io.InputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class BundleStoreTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private val root by lazy { File(temporary.root, "bundles") }
    private val store by lazy { BundleStore(root) { Long.MAX_VALUE } }

    private fun import(files: Map<String, ByteArray>, name: String = "small.zip"): Bundle =
        store.importZip(ByteArrayInputStream(zipOf(files)), name) {}

    private fun refused(reason: String, files: Map<String, ByteArray>) {
        assertReason(reason) { import(files) }
        assertEquals("nothing half-written", emptyList<String>(), root.list().orEmpty().toList())
    }

    @Test
    fun `a zip comes in, and only what the manifest names`() {
        val seen = ArrayList<Long>()
        val files = smallFiles() + ("other.bin" to ByteArray(10))
        val zip = zipOf(files)
        val bundle = store.importZip(ByteArrayInputStream(zip), "My modèl.zip", seen::add)
        assertEquals(File(root, idFor("My modèl")), bundle.folder)
        checkFiles(bundle)
        assertEquals("# A model", File(bundle.folder, "README.md").readText())
        assertFalse(File(bundle.folder, "other.bin").exists())
        assertEquals(seen.sorted(), seen)
        assertEquals(zip.size + filesOf(bundle).sumOf { it.bytes }, seen.last())
        assertEquals(listOf(idFor("My modèl")), store.list().map { it.id })
        assertEquals(listOf(idFor("My modèl")), root.list().orEmpty().toList())
    }

    @Test
    fun `the manifest may stand in the zip's only folder`() {
        val bundle = import(smallFiles().mapKeys { "intents/${it.key}" })
        checkFiles(bundle)
        refusedAfter(bundle) { import(smallFiles().mapKeys { "a/b/${it.key}" }) }
    }

    private fun refusedAfter(bundle: Bundle, work: () -> Unit) {
        assertReason("holds no bundle") { work() }
        checkFiles(bundle)
    }

    @Test
    fun `names that lead out of the zip are refused`() {
        for (name in listOf("../evil", "/evil", "a/../../evil", "..", "a\\..\\evil")) {
            refused("leads out", smallFiles() + (name to ByteArray(1)))
        }
        assertEquals(listOf("bundles"), temporary.root.list().orEmpty().toList())
    }

    @Test
    fun `a zip of something else is refused`() {
        assertReason("no zip file") {
            store.importZip(ByteArrayInputStream(ByteArray(100)), "x.zip") {}
        }
        val whole = zipOf(smallFiles())
        assertReason("no zip file") {
            store.importZip(ByteArrayInputStream(whole, 0, whole.size / 2), "x.zip") {}
        }
        refused("holds no bundle", mapOf("picture.png" to ByteArray(10)))
        refused("cannot be read", smallFiles(manifest = { "{}" }))
        refused("manifest.json is larger", smallFiles(manifest = { " ".repeat(17 shl 20) }))
        refused("README.md is larger", smallFiles() + ("README.md" to ByteArray(2 shl 20)))
    }

    @Test
    fun `files that are not the exported ones are refused`() {
        refused("onnx/model.onnx is missing", smallFiles() - "onnx/model.onnx")
        refused("is not the file", smallFiles() + ("onnx/model.onnx" to ByteArray(1000)))
        refused("has 999 bytes", smallFiles() + ("onnx/model.onnx" to ByteArray(999)))
        refused("has more bytes", smallFiles() + ("onnx/model.onnx" to ByteArray(100_000_000)))
    }

    @Test
    fun `a full storage ends it and leaves nothing`() {
        val files = smallFiles(weights = ByteArray(300_000))
        var free = 40L shl 20
        val small = BundleStore(root) { free }
        assertReason("storage is full") {
            small.importZip(ByteArrayInputStream(zipOf(files)), "x") { free = 0 }
        }
        free = 32L shl 20
        val folder = writeFiles(temporary.newFolder())
        assertReason("storage is full") { small.importFolder(folder, "x") }
        assertEquals(emptyList<String>(), root.list().orEmpty().toList())
    }

    @Test
    fun `a disk or a stream that fails is told`() {
        val failing = object : InputStream() {
            override fun read(): Int = throw IOException("Input/output error")
        }
        assertReason("Input/output error") { store.importZip(failing, "x") {} }
        val unreadable = smallFiles().mapValues { { throw IOException("Assets are gone") } }
        assertReason("Assets are gone") { store.install("x", unreadable) }
        root.deleteRecursively()
        root.writeText("no folder")
        assertReason("the folder refuses it") { import(smallFiles()) }
    }

    @Test
    fun `an import that is cancelled changes nothing`() {
        import(smallFiles())
        val other = zipOf(smallFiles(weights = ByteArray(7)))
        assertThrows(InterruptedException::class.java) {
            store.importZip(ByteArrayInputStream(other), "small") { done ->
                if (done > other.size) throw InterruptedException()
            }
        }
        assertEquals(listOf("small"), root.list().orEmpty().toList())
        checkFiles(store.open("small"))
        assertEquals(1000, store.open("small").artifacts.single().bytes)
    }

    @Test
    fun `the bundle of the same name is replaced`() {
        import(smallFiles())
        import(smallFiles(weights = ByteArray(7)))
        assertEquals(7, store.open("small").artifacts.single().bytes)
        assertEquals(listOf("small"), root.list().orEmpty().toList())
    }

    @Test
    fun `what a process that died has left is put right`() {
        val bundle = import(smallFiles())
        writeFiles(File(root, ".partial-0"))
        assertTrue(bundle.folder.renameTo(File(root, ".replaced-small")))
        assertEquals(listOf("small"), BundleStore(root).list().map { it.id })
        writeFiles(File(root, ".replaced-small"))
        checkFiles(BundleStore(root).open("small"))
        assertEquals(listOf("small"), root.list().orEmpty().toList())
    }

    @Test
    fun `a broken bundle is listed with its problem`() {
        import(smallFiles())
        File(root, "broken").mkdirs()
        val (broken, small) = store.list()
        assertEquals("broken", broken.id)
        assertTrue(broken.bundle == null && "no manifest.json" in broken.problem!!.reason)
        assertTrue(small.bundle != null && small.problem == null)
        assertReason("There is no bundle") { store.open("../bundles/small") }
        store.remove("../bundles")
        store.remove("small")
        assertEquals(listOf("broken"), store.list().map { it.id })
    }

    @Test
    fun `what came with the app is copied once`() {
        val opened = ArrayList<String>()
        fun assets(files: Map<String, ByteArray>) = files.mapValues { (path, content) ->
            { opened += path; ByteArrayInputStream(content) as InputStream }
        }
        store.install("small", assets(smallFiles()))
        assertTrue("onnx/model.onnx" in opened)
        opened.clear()
        store.install("small", assets(smallFiles()))
        checkFiles(store.open("small"))
        assertEquals(listOf("manifest.json"), opened)
        store.install("small", assets(smallFiles(weights = ByteArray(7))))
        assertEquals(7, store.open("small").artifacts.single().bytes)
        File(root, "small/onnx/model.onnx").delete()
        store.install("small", assets(smallFiles()))
        checkFiles(store.open("small"))
    }

    private fun ship(weights: Int) = store.install(
        "small",
        smallFiles(weights = ByteArray(weights)).mapValues { { ByteArrayInputStream(it.value) } },
    )

    @Test
    fun `what came with the app never replaces what was imported`() {
        ship(7)
        import(smallFiles(weights = ByteArray(8)))
        ship(7)
        assertEquals(8, store.open("small").artifacts.single().bytes)
        ship(9)
        assertEquals(8, store.open("small").artifacts.single().bytes)
    }

    @Test
    fun `what came with the app and was removed stays away until it is imported`() {
        ship(7)
        store.remove("small")
        ship(7)
        ship(9)
        assertEquals(emptyList<String>(), BundleStore(root).list().map { it.id })
        import(smallFiles(weights = ByteArray(8)))
        ship(9)
        assertEquals(8, store.open("small").artifacts.single().bytes)
        store.remove("small")
        store.remove("small")
        assertEquals(listOf("small"), File(root, ".removed").readLines())
    }

    @Test
    fun `ids are names of folders`() {
        assertEquals("intents", idFor("intents"))
        assertEquals("x".repeat(64), idFor("x".repeat(64)))
        val wanted = mapOf(
            "../x" to "x", ".hidden" to "hidden", "a b/c" to "a-b-c", "" to "bundle",
            "模型" to "bundle", "x".repeat(99) to "x".repeat(55), "a." to "a",
        )
        for ((name, start) in wanted) {
            assertTrue(idFor(name), Regex("$start-[0-9a-f]{8}").matches(idFor(name)))
        }
        assertEquals(3, setOf("模型", "型模", "").map(::idFor).distinct().size)
    }
}
