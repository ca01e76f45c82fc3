package org.squeezebert.inspection

import java.io.File
import java.util.zip.ZipFile
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.packaging.Options
import org.squeezebert.packaging.engines.ABIS
import org.squeezebert.packaging.runStep
import org.squeezebert.packaging.sha256

/** Packs the APKs again from the same classes: slow, run by the profile of that name. */
class RebuildIT {
    @get:Rule val folder = TemporaryFolder()

    private fun rebuild(change: (Options) -> Options = { it }): File {
        val target = folder.newFolder()
        val options =
            builtOptions()
                .with("work", folder.newFolder().path)
                .with("target", target.path)
                .with("offline", "true")
                .run {
                    // Said to this build, too, where it signs with a key of its own; never written.
                    val password = System.getProperty("keystore.password") ?: return@run this
                    with("keystore.password", password)
                }
        runStep("package", change(options))
        return target
    }

    /** Here another folder, another order of files on disk, another minute. */
    @Test
    fun sameBytes() {
        val again = rebuild()
        for (abi in ABIS) {
            val apk = File(again, "squeezebert-$abi.apk")
            assertEquals(builtApk(abi).sha256(), apk.sha256())
        }
    }

    /** One rule less changes the dex, and one file more among the assets nothing but itself. */
    @Test
    fun rulesAndAssetsMatter() {
        val app = builtOptions().file("app")
        val copy = folder.newFolder()
        val rules = File(app, "proguard-rules.pro").readLines()
        File(app, "src/main/assets").takeIf(File::exists)
            ?.copyRecursively(File(copy, "src/main/assets"))
        File(copy, "src/main/assets").mkdirs()
        File(copy, "src/main/assets/more.txt").writeText("more")
        File(copy, "proguard-rules.pro")
            .writeText(rules.filterNot { "-keep class" in it }.joinToString("\n"))
        val built = builtApk("x86_64")
        val apk = File(rebuild { it.with("app", copy.path) }, "squeezebert-x86_64.apk")
        assertEquals(setOf("assets/more.txt", "classes.dex"), differences(built, apk))
        val more = contents(apk).getValue("assets/more.txt")
        assertEquals("more", more.decodeToString())
        if (contents(built).keys.any { it.endsWith("/libexecutorch.so") }) {
            val findings = inspection(apk, "x86_64").keptClasses()
            assertTrue("$findings", findings.any { "executorch" in it })
        }
    }

    /** Names of the entries that only one APK has, or that differ; but for the signature. */
    private fun differences(one: File, other: File): Set<String> {
        val first = contents(one)
        val second = contents(other)
        return (first.keys + second.keys).filterNot { name ->
            val bytes = first[name]
            bytes != null && second[name]?.contentEquals(bytes) == true
        }.toSet()
    }

    private fun contents(apk: File): Map<String, ByteArray> =
        ZipFile(apk).use { zip ->
            zip.entries().toList()
                .filterNot { it.name.startsWith("META-INF/") }
                .associate { entry ->
                    entry.name to zip.getInputStream(entry).use { it.readBytes() }
                }
        }
}
