package org.squeezebert.app.engines

import android.app.ActivityManager
import android.content.Context
import android.os.Build
import android.system.Os
import java.io.File
import org.squeezebert.core.UserError
import org.squeezebert.core.engine.Engine

/** The engines that this app knows; each says itself whether it is there. Loads no library yet. */
fun engines(context: Context): List<Engine> {
    // ONNX Runtime for Linux writes telemetry into the home folder; here it is not to begin.
    Os.setenv("ORT_DISABLE_TELEMETRY", "1", true)
    val unsupported = { missingInstructions(File("/proc/cpuinfo"), Build.SUPPORTED_ABIS.first()) }
    val free = { freeMemoryBytes(context) }
    return listOf(
        MemoryGuard(OnnxEngine(unsupported), free),
        MemoryGuard(ExecutorchEngine(LibraryLoader(executorchVersion(context)), unsupported), free),
    )
}

/**
 * Why the engines' libraries cannot run on this processor; null where they can.
 *
 * Both are built for ARMv8.1: without its atomic instructions (Cortex-A53 and -A72 and older) they
 * end the process with SIGILL. [cpuinfo] is /proc/cpuinfo, [abi] the device's first one.
 */
internal fun missingInstructions(cpuinfo: File, abi: String): UserError? {
    if (abi != "arm64-v8a") return null
    val features = cpuinfo.useLines { lines ->
        lines.filter { it.startsWith("Features") }
            .map { it.substringAfter(':').trim().split(' ').toSet() }
            .toList()
    }
    // Cores of all kinds must have them, since threads move between cores.
    if (features.isEmpty() || features.all { "atomics" in it }) return null
    return UserError(
        "This phone's processor lacks instructions of ARMv8.1 that the engine needs.",
        "Use a phone with newer cores than Cortex-A53 and Cortex-A72.",
    )
}

/** Bytes that are free until the system begins to end apps: what a phone's benchmark asks, too. */
internal fun freeMemoryBytes(context: Context): Long {
    val info = ActivityManager.MemoryInfo()
    context.getSystemService(ActivityManager::class.java).getMemoryInfo(info)
    return (info.availMem - info.threshold).coerceAtLeast(0)
}

/** What the build says of the version of ExecuTorch's library, which does not tell it itself. */
private fun executorchVersion(context: Context): String =
    packedEngines(context.assets).firstOrNull { it.target == "executorch" }?.version
        ?: "(version not stated by the build)"
