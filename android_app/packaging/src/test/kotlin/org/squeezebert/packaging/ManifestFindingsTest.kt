package org.squeezebert.packaging

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Test
import org.squeezebert.packaging.inspect.Expectation
import org.squeezebert.packaging.inspect.manifestFindings
import org.squeezebert.packaging.inspect.readManifest

/** On the text of a manifest; whole APKs are in the module inspection. */
class ManifestFindingsTest {
    private val text = File("src/test/resources/manifest.txt").readText()

    private val classes = setOf("org.squeezebert.app.MainActivity", "org.squeezebert.app.Shared")

    private fun findings(text: String) =
        manifestFindings(readManifest(text), Expectation("x86_64", 26, 36, 0), classes)

    private fun findings(old: String, new: String): List<String> {
        val changed = text.replaceFirst(old, new)
        check(changed != text) { "the text changed" }
        return findings(changed)
    }

    @Test
    fun aManifestAsItShouldBe() = assertEquals(emptyList<String>(), findings(text))

    @Test
    fun permissions() {
        val permission =
            "      E: uses-permission (line=9)\n" +
                "        A: http://schemas.android.com/apk/res/android:name(0x01010003)=" +
                "\"android.permission.INTERNET\" (Raw: \"android.permission.INTERNET\")\n"
        assertEquals(
            listOf("It asks for android.permission.INTERNET."),
            findings("      E: application", "$permission      E: application"),
        )
    }

    @Test
    fun anEntryForEveryone() {
        val line = text.lines().first { "permission.DUMP" in it }
        assertEquals(
            listOf(
                "Every app may start .BenchmarkEntry.",
                ".BenchmarkEntry is not there, or not for adb's shell alone.",
            ),
            findings("$line\n", ""),
        )
        assertEquals(
            listOf(".BenchmarkEntry is not there, or not for adb's shell alone."),
            findings("=\"android.permission.DUMP", "=\"android.permission.VIBRATE"),
        )
    }

    @Test
    fun anOpenProvider() {
        val provider = text.substringAfter("E: provider")
        val opened = provider.replaceFirst("=false", "=true")
        assertEquals(listOf("Every app may start .Shared."), findings(provider, opened))
    }

    @Test
    fun versionsOfAndroid() {
        assertEquals(listOf("minSdk is not as said."), findings(")=26", ")=21"))
        assertEquals(listOf("targetSdk is not as said."), findings(")=36", ")=35"))
    }

    @Test
    fun classesThatAreNotThere() {
        assertEquals(
            listOf("The class org.squeezebert.app.Gone is not in the dex."),
            findings("=\".Shared\"", "=\".Gone\""),
        )
    }
}
