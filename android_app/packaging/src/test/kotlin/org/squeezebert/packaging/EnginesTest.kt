package org.squeezebert.packaging

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.packaging.engines.Downloads
import org.squeezebert.packaging.engines.EnginePart
import org.squeezebert.packaging.engines.EngineSources
import org.squeezebert.packaging.engines.FindEngines
import org.squeezebert.packaging.engines.engineTable
import org.squeezebert.packaging.engines.printedTable
import org.squeezebert.packaging.zip.ZipWriter

class EnginesTest {
    @get:Rule val folder = TemporaryFolder()

    private val nothing = Downloads(maven = null, offline = true, say = {})

    private fun archive(name: String, vararg libraries: String): File {
        val file = File(folder.root, name)
        ZipWriter(file).use { writer ->
            writer.addStored("classes.jar", name.toByteArray(), 1)
            libraries.forEach { writer.addStored("jni/$it", "$name $it".toByteArray(), 1) }
        }
        return file
    }

    private fun find(onnxruntime: File? = null, executorch: File? = null): List<EnginePart> {
        val fbjni = archive("fbjni.aar", "arm64-v8a/libfbjni.so", "x86_64/libfbjni.so")
        val sources =
            EngineSources(onnxruntime, executorch, "1.29.0", "1.3.0", fbjni, File("loader.jar"))
        val unpacked = folder.newFolder()
        return FindEngines(sources, folder.newFolder(), unpacked, nothing).find()
    }

    @Test
    fun missingEnginesSayWhy() {
        val parts = find()
        assertEquals(listOf("onnx", "executorch"), parts.map { it.engine.target })
        assertTrue(parts.all { it.source.startsWith("not in this app: ") && !it.has("x86_64") })
        val row =
            """[{"engine":"onnx","version":null,"source":"${parts[0].source}",""" +
                """"abis":[],"sha256":null}]"""
        assertEquals(row, engineTable(parts.take(1), "x86_64").toString())
    }

    @Test
    fun filesOfTheBuilderAreTaken() {
        val onnxruntime = archive("ort.aar", "arm64-v8a/libonnxruntime.so", "x86/libonnxruntime.so")
        val executorch = archive("et.aar", "arm64-v8a/libexecutorch.so", "x86_64/libexecutorch.so")
        val (first, second) = find(onnxruntime, executorch)
        assertEquals(true to false, first.has("arm64-v8a") to first.has("x86_64"))
        assertEquals(onnxruntime.sha256(), first.sha256)
        assertEquals(
            setOf("libexecutorch.so", "libfbjni.so"),
            second.libraries.getValue("x86_64").keys,
        )
        assertEquals("et.aar", second.classes.first().readText())
        val version = "given by the builder (${onnxruntime.sha256().take(12)})"
        assertEquals(version, first.version)
        val row = "ONNX Runtime  $version  arm64-v8a"
        assertTrue(row in printedTable(listOf(first, second)))
    }

    @Test
    fun aNamedFileThatIsNotThereIsAnError() {
        assertThrows(PackagingError::class.java) { find(executorch = File("nowhere.aar")) }
    }

    @Test
    fun anArchiveWithAnotherHashIsRefused() {
        val archive = File(folder.root, "name-1.0.tgz")
        archive.writeText("changed")
        val hash = archive.sha256()
        assertEquals(archive, nothing.fromNpm("name", "1.0", hash, folder.root))
        assertThrows(PackagingError::class.java) {
            nothing.fromNpm("name", "1.0", "0".repeat(64), folder.root)
        }
    }
}
