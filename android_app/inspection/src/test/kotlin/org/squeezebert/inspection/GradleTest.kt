package org.squeezebert.inspection

import java.io.File
import org.jetbrains.kotlin.CoreEnvironmentDeprecation
import org.jetbrains.kotlin.cli.common.messages.MessageCollector
import org.jetbrains.kotlin.cli.jvm.compiler.EnvironmentConfigFiles
import org.jetbrains.kotlin.cli.jvm.compiler.KotlinCoreEnvironment
import org.jetbrains.kotlin.cli.extensionsStorage
import org.jetbrains.kotlin.com.intellij.openapi.util.Disposer
import org.jetbrains.kotlin.com.intellij.psi.PsiErrorElement
import org.jetbrains.kotlin.com.intellij.psi.util.PsiTreeUtil
import org.jetbrains.kotlin.compiler.plugin.CompilerPluginRegistrar
import org.jetbrains.kotlin.compiler.plugin.ExperimentalCompilerApi
import org.jetbrains.kotlin.config.CommonConfigurationKeys
import org.jetbrains.kotlin.config.CompilerConfiguration
import org.jetbrains.kotlin.config.MessageCollectorAccess
import org.jetbrains.kotlin.psi.KtPsiFactory
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Test

private val ROOT = File("..").canonicalFile

/** The build for Gradle cannot run here: its syntax, and that it says what Maven's says. */
class GradleTest {
    private val scripts =
        listOf(
            "settings.gradle.kts",
            "build.gradle.kts",
            "core/build.gradle.kts",
            "app/build.gradle.kts",
        )

    @Test
    fun scriptsAreKotlin() {
        for (script in scripts) {
            assertEquals(script, emptyList<String>(), syntaxErrors(File(ROOT, script).readText()))
        }
    }

    @Test
    fun brokenScriptsAreSeen() {
        val text = File(ROOT, "app/build.gradle.kts").readText()
        assertNotEquals(emptyList<String>(), syntaxErrors(text.replaceFirst("}", "")))
        assertNotEquals(emptyList<String>(), syntaxErrors(text.replaceFirst("= 26", "= = 26")))
    }

    @Test
    fun versionsAreThoseOfMaven() {
        val pom = File(ROOT, "pom.xml").readText()
        val property = Regex("<(\\w+)\\.version>([^<]+)</")
        val mavens = property.findAll(pom).associate { it.groupValues[1] to it.groupValues[2] }
        val versions = catalog("versions", Regex("""^(\w+) = "(.+)"$"""))
        // The Android plugin is no part of the other build.
        assertEquals(mavens.filterKeys { it in versions }, versions - "agp")
        assertEquals(8, (versions - "agp").size)
    }

    @Test
    fun coordinatesAreThoseOfMaven() {
        val line = Regex("""^([\w-]+) = \{ module = "(.+)", version\.ref = "(.+)" \}$""")
        val modules = catalog("libraries", line).values
        val files = listOf("pom.xml", "core/pom.xml", "app/pom.xml").map { File(ROOT, it) }
        val dependency = Regex("<groupId>(.+)</groupId>\\s*<artifactId>(.+)</artifactId>")
        val mavens =
            files
                .flatMap { dependency.findAll(it.readText()) }
                .map { "${it.groupValues[1]}:${it.groupValues[2]}" }
                // Gradle finds the JVM's variant of a library by itself.
                .map { it.removeSuffix("-jvm") }
                .toSet()
        // Named in the packaging, where these are looked for.
        val engines =
            setOf("com.microsoft.onnxruntime:onnxruntime-android", "org.pytorch:executorch-android")
        assertEquals(engines, modules.toSet() - mavens)
        val finder =
            "packaging/src/main/kotlin/org/squeezebert/packaging/engines/FindEngines.kt"
        val text = File(ROOT, finder).readText()
        assertEquals(engines, engines.filter { "\"$it\"" in text }.toSet())
    }

    @Test
    fun numbersAreThoseOfMaven() {
        val pom = File(ROOT, "app/pom.xml").readText()
        val script = File(ROOT, "app/build.gradle.kts").readText()
        for (name in listOf("minSdk", "targetSdk", "versionCode")) {
            val number = pom.substringAfter("<android.$name>").substringBefore("<")
            assertEquals(number, Regex("$name = (\\d+)").find(script)?.groupValues?.get(1))
        }
        val version = File(ROOT, "pom.xml").readText().substringAfter("<version>")
        assertEquals(
            version.substringBefore("<"),
            Regex("versionName = \"(.+)\"").find(script)?.groupValues?.get(1),
        )
    }

    /** The Android plugin's release notes name the oldest Gradle that it runs with. */
    @Test
    fun gradleIsNewEnoughForTheAndroidPlugin() {
        val oldest = mapOf("9.0" to "9.1.0", "9.1" to "9.3.1")
        val plugin = catalog("versions", Regex("""^(agp) = "(.+)"$""")).getValue("agp")
        val wrapper = File(ROOT, "gradle/wrapper/gradle-wrapper.properties").readText()
        val gradle = Regex("distributions/gradle-(.+)-bin\\.zip").find(wrapper)!!.groupValues[1]
        assertEquals(oldest[plugin.substringBeforeLast(".")], gradle)
    }

    /** Both have the classes of ai.onnxruntime; on the computer only one has a library. */
    @Test
    fun testsSeeOneOnnxRuntime() {
        val script = File(ROOT, "app/build.gradle.kts").readText()
        val exclusion =
            Regex("""UnitTestRuntimeClasspath"\) \}\.configureEach \{\s+exclude\((.+)\)""")
        assertEquals(
            """group = "com.microsoft.onnxruntime", module = "onnxruntime-android"""",
            exclusion.find(script)?.groupValues?.get(1),
        )
    }

    private fun catalog(section: String, line: Regex): Map<String, String> =
        File(ROOT, "gradle/libs.versions.toml")
            .readText()
            .substringAfter("[$section]\n")
            .substringBefore("\n[")
            .lines()
            .mapNotNull { line.find(it) }
            .associate { it.groupValues[1] to it.groupValues[2] }

    // The compiler's own parser is no interface for others: these say that we know.
    @OptIn(
        CompilerConfiguration.Internals::class,
        CoreEnvironmentDeprecation::class,
        ExperimentalCompilerApi::class,
        MessageCollectorAccess::class,
    )
    private fun syntaxErrors(text: String): List<String> {
        val disposable = Disposer.newDisposable("syntax")
        try {
            val configuration = CompilerConfiguration()
            configuration.put(CommonConfigurationKeys.MESSAGE_COLLECTOR_KEY, MessageCollector.NONE)
            configuration.extensionsStorage = CompilerPluginRegistrar.ExtensionStorage()
            val environment =
                KotlinCoreEnvironment.createForProduction(
                    disposable,
                    configuration,
                    EnvironmentConfigFiles.JVM_CONFIG_FILES,
                )
            val file = KtPsiFactory(environment.project).createFile("script.kts", text)
            return PsiTreeUtil.collectElementsOfType(file, PsiErrorElement::class.java).map {
                it.errorDescription
            }
        } finally {
            Disposer.dispose(disposable)
        }
    }
}
