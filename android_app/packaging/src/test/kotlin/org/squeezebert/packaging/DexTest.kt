package org.squeezebert.packaging

import com.android.tools.r8.R8
import java.io.File
import javax.tools.ToolProvider
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.packaging.inspect.Dex
import org.squeezebert.packaging.zip.ZipWriter

class DexTest {
    @get:Rule val folder = TemporaryFolder()

    /** A folder with the classes of [sources], which are Java. */
    private fun compile(vararg sources: Pair<String, String>): File {
        val target = folder.newFolder()
        val files =
            sources.map { (name, text) ->
                File(folder.newFolder(), "$name.java").apply { writeText(text) }.path
            }
        val compiler = ToolProvider.getSystemJavaCompiler()
        val status = compiler.run(null, null, null, "-d", target.path, *files.toTypedArray())
        check(status == 0) { "the classes compile" }
        return target
    }

    private fun jar(classes: File, target: File): File {
        target.parentFile.mkdirs()
        ZipWriter(target).use { writer ->
            filesBelow(classes).forEach { (name, bytes) -> writer.addCompressed(name, bytes) }
        }
        return target
    }

    private fun dex(vararg program: File, rules: String = ""): ByteArray {
        val keepRules = folder.newFile().apply { writeText(rules) }
        val inputs = DexInputs(program.toList(), emptyList(), listOf(keepRules), minSdk = 26)
        return makeDex(inputs, File(folder.newFolder(), "dex")).single().readBytes()
    }

    /** With its assertions R8 makes another dex than in the build, which would not be rebuilt. */
    @Test
    fun r8RunsWithoutItsAssertions() {
        assertFalse(R8::class.java.desiredAssertionStatus())
    }

    @Test
    fun whatNobodyKeepsIsLeftOut() {
        val classes = compile(tool("Tool"), tool("Other"))
        val kept = Dex(dex(classes, rules = "-keep class first.Tool")).classes
        assertEquals(setOf("first.Tool"), kept)
    }

    @Test
    fun aClassThatIsThereTwiceIsAnError() {
        val classes = compile(tool("Tool"))
        val copy = jar(classes, File(folder.root, "copy.jar"))
        val error = assertThrows(PackagingError::class.java) { dex(classes, copy) }
        assertTrue(error.reason, "first/Tool" in error.reason)
    }

    private fun tool(name: String) =
        name to "package first; public class $name { public int work() { return 1; } }"
}
