package org.squeezebert.app.entry

/** Instruction sets by which kernels choose their code: those of runtime_bench/features.py. */
internal val KNOWN_FEATURES: Set<String> = setOf(
    "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
    "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "svei8mm", "sme", "sme2",
)

/** The [KNOWN_FEATURES] that every core has, sorted, by the text of /proc/cpuinfo. */
internal fun featuresIn(cpuInfo: String): List<String> = cpuInfo.lineSequence()
    .filter { it.substringBefore(':').trim() in setOf("Features", "flags") }
    .map { it.substringAfter(':').trim().split(' ').toSet() intersect KNOWN_FEATURES }
    .reduceOrNull { common, next -> common intersect next }
    .orEmpty()
    .sorted()

/** The cores that /proc/cpuinfo names. */
internal fun coresIn(cpuInfo: String): Set<Int> = cpuInfo.lineSequence()
    .filter { it.substringBefore(':').trim() == "processor" }
    .mapNotNull { it.substringAfter(':').trim().toIntOrNull() }
    .toSet()

/** The bytes of `name: N kB` in a file of /proc; null where it is not there. */
internal fun bytesIn(text: String, name: String): Long? =
    Regex("^$name:\\s+(\\d{1,12}) kB\\s*$", RegexOption.MULTILINE).find(text)
        ?.let { it.groupValues[1].toLong() * BYTES_PER_KB }

/** What Android's name of a processor is elsewhere. */
internal fun architectureOf(abi: String): String = when (abi) {
    "arm64-v8a" -> "aarch64"
    "armeabi-v7a" -> "armv7l"
    "x86" -> "i686"
    else -> abi
}

internal const val BYTES_PER_KB = 1024L
