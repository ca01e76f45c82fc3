package org.squeezebert.packaging.inspect

import com.android.apksig.ApkVerifier
import java.io.File
import java.util.zip.ZipFile
import org.squeezebert.packaging.Aapt
import org.squeezebert.packaging.PAGE_BYTES
import org.squeezebert.packaging.zip.readZipLayout

/** What an APK has to be. [maxBytes]: of the file. */
class Expectation(val abi: String, val minSdk: Int, val targetSdk: Int, val maxBytes: Long)

/** Looks into [apk]. Every check returns what is wrong, in sentences; nothing is well. */
class Inspection(
    private val apk: File,
    private val expectation: Expectation,
    private val aapt: Aapt,
) {
    private val layout = readZipLayout(apk)
    private val libraries = layout.filter { it.name.endsWith(".so") }
    private val dexes =
        layout.filter { it.name.matches(Regex("classes\\d*\\.dex")) }.map { Dex(content(it.name)) }

    /** The findings of all checks. */
    fun all(): List<String> =
        signature() + manifest() + abis() + alignment() + dex() + keptClasses() + size()

    /** Signed by the schemes 1, 2 and 3. */
    fun signature(): List<String> {
        // Asked for as an old phone would, the verifier looks at scheme 1, too.
        val result = ApkVerifier.Builder(apk).setMinCheckedPlatformVersion(23).build().verify()
        val schemes =
            listOf(
                "1" to result.isVerifiedUsingV1Scheme,
                "2" to result.isVerifiedUsingV2Scheme,
                "3" to result.isVerifiedUsingV3Scheme,
            )
        return result.allErrors.map { "The signature is wrong: $it." } +
            schemes.filterNot { it.second }.map { "There is no signature of scheme ${it.first}." }
    }

    /** No permissions, nothing to be started from outside but what is meant to be. */
    fun manifest(): List<String> =
        manifestFindings(
            readManifest(aapt.describe(apk, "AndroidManifest.xml")),
            expectation,
            dexes.flatMap { it.classes }.toSet(),
        )

    /** Libraries for the expected processor, and for no other. */
    fun abis(): List<String> =
        libraries
            .map { it.name.removePrefix("lib/").substringBefore('/') }
            .distinct()
            .filter { it != expectation.abi }
            .map { "There are libraries for $it." }

    /** Libraries can be mapped from the APK in pages of 16 KB. */
    fun alignment(): List<String> = libraries.flatMap { library ->
        val segments = readLoadSegments(content(library.name))
        buildList {
            if (!library.stored) add("${library.name} is compressed.")
            if (library.offset % PAGE_BYTES != 0L) add("${library.name} lies across pages.")
            if (segments.isEmpty()) add("${library.name} is no 64-bit library.")
            if (segments.any { !it.fitsPages() }) add("${library.name} has small segments.")
        }
    }

    private fun LoadSegment.fitsPages() =
        alignment % PAGE_BYTES == 0L && alignment > 0 && (address - offset) % PAGE_BYTES == 0L

    /** No call site that only a JVM can resolve. */
    fun dex(): List<String> = buildList {
        if (dexes.isEmpty()) add("There is no dex.")
        val sites = dexes.sumOf { it.callSites }
        if (sites > 0) add("There are $sites call sites of invoke-custom.")
        for (name in listOf("LambdaMetafactory", "StringConcatFactory")) {
            if (dexes.any { "Ljava/lang/invoke/$name;" in it.types }) add("The dex calls $name.")
        }
    }

    /** What a library looks up by name is there under its name. */
    fun keptClasses(): List<String> {
        val classes = dexes.flatMap { it.classes }.toSet()
        val methods = dexes.flatMap { it.methods }.toSet()
        return libraries.flatMap { library ->
            val called = classesNamedIn(content(library.name)).filter { it !in classes }
            val methodsCalled = METHODS_CALLED[library.name.substringAfterLast('/')].orEmpty()
            (called + methodsCalled.filter { it !in methods }).map {
                "${library.name} calls $it, which is not in the dex."
            }
        }
    }

    /** Small enough. */
    fun size(): List<String> =
        if (apk.length() <= expectation.maxBytes) {
            emptyList()
        } else {
            listOf("It has ${apk.length()} bytes, more than ${expectation.maxBytes}.")
        }

    private fun content(name: String): ByteArray =
        ZipFile(apk).use { zip -> zip.getInputStream(zip.getEntry(name)).use { it.readBytes() } }

    private companion object {
        /** Names that a library holds apart from those of classes. */
        val METHODS_CALLED =
            mapOf(
                "libexecutorch.so" to
                    listOf(
                        "org.pytorch.executorch.EValue.from",
                        "org.pytorch.executorch.Module.initHybrid",
                        "org.pytorch.executorch.Tensor.dtypeJniCode",
                        "org.pytorch.executorch.Tensor.nativeNewTensor",
                    )
            )
    }
}
