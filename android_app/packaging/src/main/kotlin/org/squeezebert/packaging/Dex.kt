package org.squeezebert.packaging

import com.android.tools.r8.CompilationFailedException
import com.android.tools.r8.CompilationMode
import com.android.tools.r8.Diagnostic
import com.android.tools.r8.DiagnosticsHandler
import com.android.tools.r8.JdkClassFileProvider
import com.android.tools.r8.OutputMode
import com.android.tools.r8.R8
import com.android.tools.r8.R8Command
import com.android.tools.r8.origin.Origin
import java.io.File
import java.nio.file.Path
import java.util.zip.ZipFile

/** What goes into the dex: [program] jars and class folders, [libraries] that are on the phone. */
class DexInputs(
    val program: List<File>,
    val libraries: List<File>,
    val keepRules: List<File>,
    val minSdk: Int,
)

/**
 * Shrinks and translates [inputs] into `classes*.dex` in [folder], which is emptied before, and
 * writes `mapping.txt` beside it.
 *
 * The dex depends on what the classes are, not on where they lie. A warning of R8 is an error here:
 * what it warns about fails on the phone.
 */
fun makeDex(inputs: DexInputs, folder: File): List<File> {
    folder.deleteRecursively()
    folder.mkdirs()
    val messages = Messages()
    val javaHome = Path.of(System.getProperty("java.home"))
    val builder =
        R8Command.builder(messages)
            .setMode(CompilationMode.RELEASE)
            .setMinApiLevel(inputs.minSdk)
            .addLibraryFiles(inputs.libraries.map(File::toPath))
            // Robolectric's Android leaves java.* to the JDK.
            .addLibraryResourceProvider(JdkClassFileProvider.fromJdkHome(javaHome))
            .addProguardConfigurationFiles(inputs.keepRules.map(File::toPath))
            .setProguardMapOutputPath(File(folder.parentFile, "mapping.txt").toPath())
            .setOutput(folder.toPath(), OutputMode.DexIndexed)
    for ((name, bytes) in classesOf(inputs.program)) {
        builder.addClassProgramData(bytes, ClassOrigin(name))
    }
    val failure =
        try {
            R8.run(builder.build())
            null
        } catch (error: CompilationFailedException) {
            error
        }
    if (failure != null || messages.problems.isNotEmpty()) {
        throw PackagingError(
            "R8 could not make the dex: ${messages.problems.joinToString("\n")}",
            "Mend the code or the keep rules in app/proguard-rules.pro.",
            failure,
        )
    }
    return folder.listFiles().orEmpty().filter { it.extension == "dex" }.sortedBy { it.name }
}

/**
 * The classes of jars and folders by name, in its order. Several jars describe themselves as modules
 * or carry variants for newer JVMs below META-INF, which Android does not have.
 */
private fun classesOf(program: List<File>): Map<String, ByteArray> {
    val classes = sortedMapOf<String, ByteArray>()
    for (part in program) {
        val own = if (part.isDirectory) filesBelow(part) else entriesOf(part)
        for ((name, bytes) in own) {
            val isClass = name.endsWith(".class") && !name.startsWith("META-INF/")
            if (isClass && classes.put(name, bytes) != null) {
                throw PackagingError(
                    "The class $name is there twice, the second time in $part.",
                    "Leave one of the libraries out.",
                )
            }
        }
    }
    return classes
}

private fun entriesOf(jar: File): Map<String, ByteArray> =
    ZipFile(jar).use { zip ->
        zip.entries()
            .toList()
            .filterNot { it.isDirectory }
            .associate { entry -> entry.name to zip.getInputStream(entry).use { it.readBytes() } }
    }

/** Where a class comes from, as far as R8 knows: nothing of the dex can depend on a path. */
private class ClassOrigin(private val name: String) : Origin(root()) {
    override fun part() = name
}

private class Messages : DiagnosticsHandler {
    val problems = mutableListOf<String>()

    override fun error(message: Diagnostic) {
        problems += "${message.origin}: ${message.diagnosticMessage}"
    }

    override fun warning(message: Diagnostic) = error(message)

    override fun info(message: Diagnostic) = Unit
}
