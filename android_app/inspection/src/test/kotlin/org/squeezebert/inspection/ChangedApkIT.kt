package org.squeezebert.inspection

import java.io.File
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.packaging.inspect.Inspection
import org.squeezebert.packaging.zip.readZipLayout

/** Every check of an APK sees what it is there for. A library of our own stands for an engine's. */
class ChangedApkIT {
    @get:Rule val folder = TemporaryFolder()

    private val library = smallLibrary(segmentAlignment = 16384)

    private fun changed(change: Change, abi: String = "x86_64", maxBytes: Long = MAX_BYTES) =
        inspection(changedApk(builtApk("x86_64"), change, newFile()), abi, maxBytes)

    private fun newFile() = File(folder.root, "changed.apk")

    /** Only the small library, so that changes are quick. */
    private fun withLibrary(
        bytes: ByteArray = library,
        alignment: Int = 16384,
        compress: Boolean = false,
    ): Inspection {
        val apk = File(folder.root, "small.apk")
        val without = Change({ name, content -> content.takeUnless { name.endsWith(".so") } })
        changedApk(builtApk("x86_64"), without, apk)
        val target = newFile()
        val name = "lib/x86_64/libsmall.so"
        // Two steps: what is added is compressed, what is there as a library is laid out.
        val added = changedApk(apk, Change(more = mapOf(name to bytes)), File(folder.root, "b.apk"))
        val change = Change(alignment = alignment, compressLibraries = compress)
        return inspection(changedApk(added, change, target), "x86_64")
    }

    @Test
    fun aCopyIsStillWell() {
        assertEquals(emptyList<String>(), withLibrary().run { alignment() + abis() + signature() })
    }

    @Test
    fun aChangedByteBreaksTheSignature() {
        val apk = builtApk("x86_64").copyTo(newFile())
        val dex = readZipLayout(apk).first { it.name == "classes.dex" }
        RandomAccessFile(apk, "rw").use { file ->
            file.seek(dex.offset + 100)
            val byte = file.read()
            file.seek(dex.offset + 100)
            file.write(byte xor 1)
        }
        val result =
            com.android.apksig.ApkVerifier.Builder(apk).setMinCheckedPlatformVersion(26).build()
        assertTrue(result.verify().allErrors.isNotEmpty())
    }

    @Test
    fun aLibraryAcrossPages() {
        val findings = withLibrary(alignment = 4).alignment()
        assertEquals(listOf("lib/x86_64/libsmall.so lies across pages."), findings)
    }

    @Test
    fun aCompressedLibrary() {
        val findings = withLibrary(compress = true).alignment()
        assertTrue("lib/x86_64/libsmall.so is compressed." in findings)
    }

    @Test
    fun aLibraryWithSmallSegments() {
        val findings = withLibrary(smallLibrary(segmentAlignment = 4096)).alignment()
        assertEquals(listOf("lib/x86_64/libsmall.so has small segments."), findings)
        val shifted = withLibrary(smallLibrary(segmentAlignment = 16384, address = 4096))
        assertEquals(listOf("lib/x86_64/libsmall.so has small segments."), shifted.alignment())
        val nothing = withLibrary("no library".repeat(10).toByteArray())
        assertEquals(listOf("lib/x86_64/libsmall.so is no 64-bit library."), nothing.alignment())
    }

    @Test
    fun librariesOfAnotherProcessor() {
        val findings = changed(Change(), abi = "arm64-v8a").abis()
        assertEquals(listOf("There are libraries for x86_64."), findings)
    }

    @Test
    fun anApkThatIsTooLarge() {
        assertTrue(changed(Change(), maxBytes = 1_000_000).size().isNotEmpty())
    }

    @Test
    fun aLambdaThatOnlyTheJvmResolves() {
        val dex = undesugaredLambda(folder.newFolder())
        val findings = changed(Change(more = mapOf("classes2.dex" to dex))).dex()
        assertTrue("${findings}", findings.any { it.endsWith("call sites of invoke-custom.") })
        assertTrue("The dex calls LambdaMetafactory." in findings)
    }

    @Test
    fun classesThatALibraryMissesInTheDex() {
        val name = "org/pytorch/executorch/Forgotten"
        val findings = withLibrary(library + "\u0000$name\u0000".toByteArray()).keptClasses()
        val missing = "org.pytorch.executorch.Forgotten"
        val said = "lib/x86_64/libsmall.so calls $missing, which is not in the dex."
        assertEquals(listOf(said), findings)
    }

    /** The head of an ELF file with one LOAD segment, which starts with the file. */
    private fun smallLibrary(segmentAlignment: Long, address: Long = 0): ByteArray {
        val data = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN)
        data.putInt(0, 0x464c457f).put(4, 2).put(5, 1)
        data.putLong(32, 64).putShort(54, 56).putShort(56, 1)
        data.putInt(64, 1).putLong(64 + 16, address).putLong(64 + 48, segmentAlignment)
        return data.array()
    }
}
