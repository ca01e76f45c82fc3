package org.squeezebert.packaging

import java.io.File
import java.util.zip.ZipFile
import org.squeezebert.packaging.zip.ZipWriter

/** Android asks for it from 2025 on: libraries are mapped in pages of 16 KB. */
const val PAGE_BYTES = 16 * 1024

/** Content of an APK: names and bytes, of which [libraries] are stored and aligned to pages. */
class ApkContent(
    val resources: File,
    val dex: List<File>,
    val assets: Map<String, ByteArray>,
    val libraries: Map<String, ByteArray>,
)

/** Writes an APK without signature. */
fun writeApk(content: ApkContent, target: File) {
    ZipWriter(target).use { writer ->
        ZipFile(content.resources).use { zip ->
            for (entry in zip.entries().toList().sortedBy { it.name }) {
                val bytes = zip.getInputStream(entry).use { it.readBytes() }
                // Android maps the table of resources; it refuses a compressed one.
                if (entry.name == "resources.arsc" || entry.name.endsWith(".png")) {
                    writer.addStored(entry.name, bytes, alignment = 4)
                } else {
                    writer.addCompressed(entry.name, bytes)
                }
            }
        }
        content.dex.forEach { writer.addCompressed(it.name, it.readBytes()) }
        content.assets.toSortedMap().forEach { (name, bytes) ->
            writer.addCompressed("assets/$name", bytes)
        }
        content.libraries.toSortedMap().forEach { (name, bytes) ->
            writer.addStored("lib/$name", bytes, PAGE_BYTES)
        }
    }
}
