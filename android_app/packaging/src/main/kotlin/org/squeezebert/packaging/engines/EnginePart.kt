package org.squeezebert.packaging.engines

import java.io.File
import java.util.zip.ZipFile
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonArray
import kotlinx.serialization.json.buildJsonObject

/** Processors that APKs are made for. */
val ABIS = listOf("arm64-v8a", "x86_64")

/** An engine by its target: the name for people, the version that the app is compiled against. */
enum class EngineName(val target: String, val title: String) {
    ONNX("onnx", "ONNX Runtime"),
    EXECUTORCH("executorch", "ExecuTorch"),
}

/**
 * An engine's classes and libraries, and where they come from.
 *
 * [sha256] is that of the file that was had: an AAR or an archive. [libraries]: by ABI, by name.
 * An engine that cannot be had has neither version nor checksum, and [source] says why.
 */
class EnginePart(
    val engine: EngineName,
    val version: String?,
    val source: String,
    val sha256: String?,
    val classes: List<File>,
    val libraries: Map<String, Map<String, ByteArray>>,
) {
    /** Whether an APK for [abi] has this engine. */
    fun has(abi: String) = libraries[abi].orEmpty().isNotEmpty()

    companion object {
        /** An engine that is not in the APK. */
        fun missing(engine: EngineName, why: String) =
            EnginePart(engine, null, "not in this app: $why", null, emptyList(), emptyMap())
    }
}

/** Libraries of an AAR: by ABI, by name. */
fun librariesOf(archive: File): Map<String, Map<String, ByteArray>> =
    ZipFile(archive).use { zip ->
        ABIS.associateWith { abi ->
            zip.entries()
                .toList()
                .filter { it.name.startsWith("jni/$abi/") && it.name.endsWith(".so") }
                .sortedBy { it.name }
                .associate { entry ->
                    val bytes = zip.getInputStream(entry).use { it.readBytes() }
                    entry.name.substringAfterLast('/') to bytes
                }
        }
    }

/** Writes the classes of an AAR to [target]. */
fun classesOf(archive: File, target: File): File {
    target.parentFile.mkdirs()
    ZipFile(archive).use { zip ->
        zip.getInputStream(zip.getEntry("classes.jar")).use { target.writeBytes(it.readBytes()) }
    }
    return target
}

/** The table for `assets/engines.json` of the APK for [abi]. */
fun engineTable(parts: List<EnginePart>, abi: String): JsonElement = buildJsonArray {
    for (part in parts) {
        add(
            buildJsonObject {
                put("engine", JsonPrimitive(part.engine.target))
                put("version", part.version?.let { JsonPrimitive(it) } ?: JsonNull)
                put("source", JsonPrimitive(part.source))
                put("abis", buildJsonArray { if (part.has(abi)) add(JsonPrimitive(abi)) })
                put("sha256", part.sha256?.let { JsonPrimitive(it) } ?: JsonNull)
            }
        )
    }
}

/** The same for people, with a line for every engine. */
fun printedTable(parts: List<EnginePart>): String {
    val rows =
        listOf(listOf("Engine", "Version", "ABIs", "SHA-256", "Source")) +
            parts.map { part ->
                listOf(
                    part.engine.title,
                    part.version ?: "-",
                    ABIS.filter { part.has(it) }.joinToString(" ").ifEmpty { "-" },
                    part.sha256?.take(12) ?: "-",
                    part.source,
                )
            }
    val widths = rows.first().indices.map { column -> rows.maxOf { it[column].length } }
    return rows.joinToString("\n") { row ->
        row.mapIndexed { column, text -> text.padEnd(widths[column]) }.joinToString("  ").trimEnd()
    }
}
