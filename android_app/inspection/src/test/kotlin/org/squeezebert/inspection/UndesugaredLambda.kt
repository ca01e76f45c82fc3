package org.squeezebert.inspection

import com.android.tools.r8.D8
import com.android.tools.r8.D8Command
import com.android.tools.r8.OutputMode
import java.io.File
import javax.tools.ToolProvider

/** A dex in which a lambda of Java is left to `invoke-custom`; made in [folder]. */
fun undesugaredLambda(folder: File): ByteArray {
    val source = File(folder, "Lambda.java")
    source.writeText("class Lambda { Runnable task(String text) { return () -> text.trim(); } }")
    val status = ToolProvider.getSystemJavaCompiler().run(null, null, null, source.path)
    check(status == 0) { "the class compiles" }
    D8.run(
        D8Command.builder()
            .addProgramFiles(File(folder, "Lambda.class").toPath())
            .setMinApiLevel(MIN_SDK)
            .setDisableDesugaring(true)
            .setOutput(folder.toPath(), OutputMode.DexIndexed)
            .build()
    )
    return File(folder, "classes.dex").readBytes()
}
