package org.squeezebert.app

import java.io.File
import java.io.InputStream
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.app.engines.OnnxEngine
import org.squeezebert.core.bundle.BundleStore
import org.squeezebert.core.classify.Classifier

/** The lines of EMBED.md do what they say, on the example's real model. */
class EmbedTest {
    @get:Rule
    val folder = TemporaryFolder()

    private class Assets(private val zip: File) {
        fun open(@Suppress("UNUSED_PARAMETER") name: String): InputStream = zip.inputStream()
    }

    @Test
    fun `from text to label`() {
        val filesDir = folder.newFolder()
        val assets = Assets(zip(demoBundle("nli")))
        val printed = mutableListOf<String>()
        fun println(line: String) = printed.add(line)
        // The page's lines begin here.
        // Once, off the main thread. The bundle comes from your assets, a download, or a file picker.
        val store = BundleStore(File(filesDir, "bundles"))
        val bundle = store.importZip(assets.open("nli.zip"), "nli") { }
        val artifact = bundle.artifacts.first { it.target == "onnx" && it.precision == "int8" }
        val classifier = Classifier(bundle, artifact, OnnxEngine(), threads = 2)

        // As often as you like, from any thread but the main one.
        val answer = classifier.classify("Two dogs run on the beach.", "The dogs sleep.")
        println("${answer.best.label} ${answer.best.probability}")

        classifier.close()
        // The page's lines end here.
        assertTrue("$printed", printed.single().startsWith("contradiction 0."))
    }

    @Test
    fun `the page has these lines`() {
        val source = File("src/test/kotlin/org/squeezebert/app/EmbedTest.kt").readText()
        val lines = source.substringAfter("lines begin here.\n").substringBefore("        // The page's")
        val page = File("../EMBED.md").readText()
            .substringAfter("```kotlin\n").substringBefore("```")
        assertEquals(page, lines.trimIndent() + "\n")
    }

    /** A bundle that the build packs, named by the Maven property `bundles`. */
    private fun demoBundle(name: String): File =
        System.getProperty("bundles").orEmpty().split(',').map(::File)
            .singleOrNull { it.name == name }
            ?: error("The bundle $name is not there: make apk")

    private fun zip(bundle: File): File {
        val zip = folder.newFile()
        ZipOutputStream(zip.outputStream()).use { stream ->
            bundle.walk().filter(File::isFile).forEach { file ->
                stream.putNextEntry(ZipEntry(file.relativeTo(bundle).invariantSeparatorsPath))
                file.inputStream().use { it.copyTo(stream) }
            }
        }
        return zip
    }
}
