package org.squeezebert.packaging

import java.io.File
import java.util.zip.ZipFile

/**
 * What the app needs before its Kotlin is compiled: R.java, and for Robolectric a description of
 * where the linked resources lie.
 *
 * Written below [build]: `AndroidManifest.xml`, `generated-sources/resources`, `resources.apk`,
 * `keep-rules.txt`, `test-resources.apk`, `generated-test-resources` and `robolectric`.
 */
class PrepareResources(
    private val app: File,
    private val build: File,
    private val inputs: ResourceInputs,
    private val testLibraries: List<File>,
    private val instrumentedAndroid: File,
) {
    /** Does everything. */
    fun run() {
        build.mkdirs()
        val manifest = File(build, "AndroidManifest.xml")
        manifest.writeText(completeManifest(inputs.manifest.readText()))
        val apk = File(build, "resources.apk")
        val sources = File(build, "generated-sources/resources")
        val outputs = ResourceOutputs(apk, sources, File(build, "keep-rules.txt"))
        Aapt(File(build, "aapt")).link(manifest, inputs, outputs)
        val testApk = File(build, "test-resources.apk")
        writeApk(ApkContent(apk, emptyList(), testAssets(), emptyMap()), testApk)
        describeForRobolectric(manifest, testApk)
        testLibraries.forEach { unpackClasses(it) }
    }

    /** Robolectric finds assets in the APK of resources alone. */
    private fun testAssets(): Map<String, ByteArray> =
        listOf(File(app, "src/main/assets"), File(app, "src/test/assets"))
            .filter { it.isDirectory }
            .map { filesBelow(it) }
            .fold(emptyMap()) { all, more -> all + more }

    private fun describeForRobolectric(manifest: File, apk: File) {
        val resources = File(build, "generated-test-resources")
        write(
            File(resources, "com/android/tools/test_config.properties"),
            "android_merged_manifest" to manifest.path,
            "android_resource_apk" to apk.path,
            "android_custom_package" to APPLICATION_ID,
        )
        // Found here, the Android that tests run on is neither downloaded nor copied by them.
        val coordinates = instrumentedAndroid.name.removePrefix(INSTRUMENTED).removeSuffix(".jar")
        write(
            File(resources, "robolectric-deps.properties"),
            "org.robolectric:$INSTRUMENTED_NAME:$coordinates" to instrumentedAndroid.path,
        )
    }

    /** Maven puts no AAR on a class path: what Robolectric needs of them lies in jars instead. */
    private fun unpackClasses(library: File) {
        val folder = File(build, "robolectric")
        folder.mkdirs()
        ZipFile(library).use { zip ->
            val classes = zip.getEntry("classes.jar")
            zip.getInputStream(classes).use { stream ->
                val name = library.name.replace(Regex("-[0-9.]+\\.aar$"), ".jar")
                File(folder, name).writeBytes(stream.readBytes())
            }
        }
    }

    private fun write(file: File, vararg entries: Pair<String, String>) {
        file.parentFile.mkdirs()
        val lines = entries.map { (key, value) -> "${escape(key)}=${escape(value)}\n" }
        file.writeText(lines.joinToString(""))
    }

    private fun escape(text: String) = text.replace("\\", "\\\\").replace(":", "\\:")

    private companion object {
        const val INSTRUMENTED_NAME = "android-all-instrumented"
        const val INSTRUMENTED = "$INSTRUMENTED_NAME-"
    }
}

/**
 * Adds to the text of a manifest what Gradle's Android plugin adds to it, and refuses to find there:
 * the package, and that libraries stay in the APK.
 */
fun completeManifest(text: String): String {
    val manifest = "<manifest "
    val application = "<application"
    if (manifest !in text || application !in text) {
        throw PackagingError(
            "AndroidManifest.xml has no manifest with an application.",
            "Write both elements with their attributes on lines of their own.",
        )
    }
    return text
        .replaceFirst(manifest, "$manifest package=\"$APPLICATION_ID\" ")
        .replaceFirst(application, "$application android:extractNativeLibs=\"false\"")
}
