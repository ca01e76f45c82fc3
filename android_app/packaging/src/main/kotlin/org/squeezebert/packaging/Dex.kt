package org.squeezebert.packaging

import com.android.tools.r8.ArchiveProgramResourceProvider
import com.android.tools.r8.CompilationFailedException
import com.android.tools.r8.CompilationMode
import com.android.tools.r8.Diagnostic
import com.android.tools.r8.DiagnosticsHandler
import com.android.tools.r8.JdkClassFileProvider
import com.android.tools.r8.OutputMode
import com.android.tools.r8.R8
import com.android.tools.r8.R8Command
import com.android.tools.r8.origin.PathOrigin
import java.io.File
import java.nio.file.Path

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
 * A warning of R8 is an error here: what it warns about fails on the phone.
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
    for (part in inputs.program) {
        if (part.isDirectory) {
            // In an order that no file system decides.
            val files = part.walkTopDown().filter { it.extension == "class" }
            for (file in files.sortedBy { it.path }) {
                builder.addClassProgramData(file.readBytes(), PathOrigin(file.toPath()))
            }
        } else {
            // Several jars describe themselves as modules, which Android does not have.
            builder.addProgramResourceProvider(
                ArchiveProgramResourceProvider.fromArchive(part.toPath()) { name ->
                    name.endsWith(".class") && !name.startsWith("META-INF/")
                }
            )
        }
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

private class Messages : DiagnosticsHandler {
    val problems = mutableListOf<String>()

    override fun error(message: Diagnostic) {
        problems += "${message.origin}: ${message.diagnosticMessage}"
    }

    override fun warning(message: Diagnostic) = error(message)

    override fun info(message: Diagnostic) = Unit
}
