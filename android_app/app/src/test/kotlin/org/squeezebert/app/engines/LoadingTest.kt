package org.squeezebert.app.engines

import ai.onnxruntime.OrtException
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.core.UserError

class LoadingTest {
    @get:Rule
    val folder = TemporaryFolder()

    @Test
    fun `processors without the atomic instructions of ARMv8-1 are told`() {
        assertNull(missing("Features\t: fp asimd atomics\nFeatures\t: fp asimd atomics\n"))
        assertNotNull(missing("Features\t: fp asimd crc32\n"))
        // One kind of core with them is not enough.
        assertNotNull(missing("Features\t: fp atomics\nprocessor\t: 1\nFeatures\t: fp asimd\n"))
        // A longer name is another instruction.
        assertNotNull(missing("Features\t: fp atomics128\n"))
        // Where nothing is told, the library is tried.
        assertNull(missing("processor : 0\n"))
        assertNull(missing("Features\t: fp asimd crc32\n", abi = "x86_64"))
    }

    @Test
    fun `whatever goes wrong is told, and nothing is thrown`() {
        val gone = File(folder.root, "gone")
        val unreadable = loadingLibrary("The engine", { missingInstructions(gone, "arm64-v8a") }) {
            error("never")
        }
        val unknown = unreadable.exceptionOrNull() as UserError
        assertTrue(unknown.reason, "cannot be found out" in unknown.reason)
        val failures = listOf(
            UnsatisfiedLinkError("no library"), IllegalStateException("no"), OrtException("no"),
        )
        for (failure in failures) {
            val refused = loadingLibrary("The engine", { null }) { throw failure }
            val error = refused.exceptionOrNull() as UserError
            assertTrue(error.reason, "does not carry The engine" in error.reason)
        }
        assertEquals(7, loadingLibrary("The engine", { null }) { 7 }.getOrThrow())
    }

    private fun missing(cpuinfo: String, abi: String = "arm64-v8a"): String? {
        val file = folder.newFile()
        file.writeText(cpuinfo)
        return missingInstructions(file, abi)?.reason
    }
}
