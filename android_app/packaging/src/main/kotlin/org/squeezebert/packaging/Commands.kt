package org.squeezebert.packaging

import java.io.File

/** Runs [command] and returns what it printed; throws [PackagingError] where it fails. */
fun runCommand(command: List<String>, nextStep: String, folder: File? = null): String {
    val process =
        ProcessBuilder(command).directory(folder).redirectErrorStream(true).start()
    process.outputStream.close()
    val output = process.inputStream.bufferedReader().readText()
    val status = process.waitFor()
    if (status != 0) {
        val name = File(command.first()).name
        throw PackagingError("$name ended with status $status: ${output.trim()}", nextStep)
    }
    return output
}
