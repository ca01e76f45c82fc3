package org.squeezebert.packaging

import java.io.File

/** Android's resource compiler, unpacked into [folder] from the jar that carries it. */
class Aapt(private val folder: File) {
    private val program: File by lazy { unpack() }

    /** Compiles and links with the complete [manifest]; see [ResourceInputs] and [ResourceOutputs]. */
    fun link(manifest: File, inputs: ResourceInputs, outputs: ResourceOutputs) {
        val compiled = File(folder, "compiled.zip")
        compiled.delete()
        run("compile", "--dir", inputs.resources.path, "-o", compiled.path)
        outputs.sources.deleteRecursively()
        outputs.sources.mkdirs()
        run(
            "link",
            "-I", inputs.framework.path,
            "--manifest", manifest.path,
            "--min-sdk-version", inputs.minSdk,
            "--target-sdk-version", inputs.targetSdk,
            "--version-code", inputs.versionCode,
            "--version-name", inputs.versionName,
            "--java", outputs.sources.path,
            "--proguard", outputs.keepRules.path,
            "-o", outputs.apk.path,
            compiled.path,
        )
    }

    /** What is in a compiled manifest or another compiled XML [file] of [apk], as text. */
    fun describe(apk: File, file: String): String =
        run("dump", "xmltree", "--file", file, apk.path)

    private fun run(vararg arguments: String): String =
        runCommand(listOf(program.path) + arguments, "Mend the resource or the manifest it names.")

    private fun unpack(): File {
        val system = System.getProperty("os.name").lowercase()
        val path =
            when {
                system.startsWith("linux") -> "prebuilt/linux/aapt2"
                system.startsWith("mac") -> "prebuilt/macosx/aapt2"
                system.startsWith("windows") -> "prebuilt/windows/aapt2.exe"
                else ->
                    throw PackagingError(
                        "There is no resource compiler for $system.",
                        "Build on Linux, macOS or Windows.",
                    )
            }
        val stream =
            Aapt::class.java.classLoader.getResourceAsStream(path)
                ?: throw PackagingError(
                    "$path is not in apktool-lib.",
                    "Use the version of apktool-lib that pom.xml names.",
                )
        folder.mkdirs()
        val target = File(folder, path.substringAfterLast('/'))
        val bytes = stream.use { it.readBytes() }
        // Written again, a program that another build runs would be in its way.
        if (!target.exists() || !target.readBytes().contentEquals(bytes)) {
            val partial = File.createTempFile("aapt2", null, folder)
            partial.writeBytes(bytes)
            partial.setExecutable(true)
            partial.replace(target)
        }
        return target
    }
}

/** Sources of a resource table. [manifest]: as the app has it; [framework]: a jar or APK with Android's own resources. */
class ResourceInputs(
    val resources: File,
    val manifest: File,
    val framework: File,
    val minSdk: String,
    val targetSdk: String,
    val versionCode: String,
    val versionName: String,
)

/** [apk]: manifest and resources; [sources]: R.java; [keepRules]: what the manifest names. */
class ResourceOutputs(val apk: File, val sources: File, val keepRules: File)
