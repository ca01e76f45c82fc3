package org.squeezebert.inspection

import java.io.File
import java.util.zip.ZipFile
import org.squeezebert.packaging.Aapt
import org.squeezebert.packaging.Options
import org.squeezebert.packaging.SigningKey
import org.squeezebert.packaging.inspect.Expectation
import org.squeezebert.packaging.inspect.Inspection
import org.squeezebert.packaging.sign
import org.squeezebert.packaging.zip.ZipWriter

/** Where the module app leaves what it makes. */
val BUILT = File("../app/target").canonicalFile

const val MIN_SDK = 26
const val TARGET_SDK = 36

/** One APK has to fit into 45 MB with the small model. */
const val MAX_BYTES = 45_000_000L

/** The APK for [abi] that was built. */
fun builtApk(abi: String) = File(BUILT, "squeezebert-$abi.apk")

/** The options that the APKs were built with. */
fun builtOptions() = Options.parse(File(BUILT, "package-options.txt").readLines())

fun inspection(apk: File, abi: String, maxBytes: Long = MAX_BYTES) =
    Inspection(apk, Expectation(abi, MIN_SDK, TARGET_SDK, maxBytes), Aapt(File(BUILT, "aapt")))

/** How a copy of an APK differs from it. */
class Change(
    /** New content of an entry, null to leave it out. */
    val content: (name: String, bytes: ByteArray) -> ByteArray? = { _, bytes -> bytes },
    val more: Map<String, ByteArray> = emptyMap(),
    val alignment: Int = 16384,
    val compressLibraries: Boolean = false,
)

/** Writes [apk] with a [change] to [target], and signs it again. */
fun changedApk(apk: File, change: Change, target: File): File {
    val unsigned = File(target.path + ".unsigned")
    ZipWriter(unsigned).use { writer ->
        ZipFile(apk).use { zip ->
            for (entry in zip.entries().toList().filterNot { it.name.startsWith("META-INF/") }) {
                val bytes = zip.getInputStream(entry).use { it.readBytes() }
                val changed = change.content(entry.name, bytes) ?: continue
                if (entry.name.endsWith(".so") && !change.compressLibraries) {
                    writer.addStored(entry.name, changed, change.alignment)
                } else {
                    writer.addCompressed(entry.name, changed)
                }
            }
        }
        change.more.forEach { (name, bytes) -> writer.addCompressed(name, bytes) }
    }
    val options = builtOptions()
    sign(unsigned, target, SigningKey(options.file("demoKey"), "android-demo", "demo"), MIN_SDK)
    unsigned.delete()
    return target
}
