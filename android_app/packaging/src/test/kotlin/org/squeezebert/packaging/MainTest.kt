package org.squeezebert.packaging

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class MainTest {
    @get:Rule val folder = TemporaryFolder()

    /** Written first, before anything is missed. */
    @Test
    fun aPasswordIsNotWritten() {
        val options =
            Options(
                mapOf(
                    "build" to folder.root.path,
                    "keystore" to "own.p12",
                    "keystore.password" to "top secret",
                )
            )
        val error = assertThrows(PackagingError::class.java) { runStep("package", options) }
        assertEquals("The option onnxruntime.version is missing.", error.reason)
        val files = folder.root.walk().filter(File::isFile).toList()
        assertTrue(files.single { it.name == "package-options.txt" }.readText().contains("own.p12"))
        assertEquals(emptyList<File>(), files.filter { "secret" in it.readText() })
    }

    @Test
    fun anUnknownStepIsAnError() {
        assertThrows(PackagingError::class.java) { runStep("sign", Options(emptyMap())) }
    }
}
