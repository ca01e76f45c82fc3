package org.squeezebert.inspection

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.packaging.Options
import org.squeezebert.packaging.engines.ABIS
import org.squeezebert.packaging.runStep
import org.squeezebert.packaging.sha256

/** Packs the APKs again from the same classes. */
class RebuildIT {
    @get:Rule val folder = TemporaryFolder()

    private fun rebuild(change: (Options) -> Options = { it }): File {
        val target = folder.newFolder()
        val options =
            builtOptions()
                .with("work", folder.newFolder().path)
                .with("target", target.path)
                .with("offline", "true")
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

    /** One rule less, and one file more among the assets. */
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
        val apk = File(rebuild { it.with("app", copy.path) }, "squeezebert-x86_64.apk")
        assertNotEquals(builtApk("x86_64").sha256(), apk.sha256())
        val findings = inspection(apk, "x86_64").keptClasses()
        if ("libexecutorch.so" in builtApk("x86_64").readText(Charsets.ISO_8859_1)) {
            assertTrue("$findings", findings.any { "executorch" in it })
        }
    }
}
