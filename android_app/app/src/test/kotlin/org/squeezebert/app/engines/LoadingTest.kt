package org.squeezebert.app.engines

import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

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

    private fun missing(cpuinfo: String, abi: String = "arm64-v8a"): String? {
        val file = folder.newFile()
        file.writeText(cpuinfo)
        return missingInstructions(file, abi)?.reason
    }
}
