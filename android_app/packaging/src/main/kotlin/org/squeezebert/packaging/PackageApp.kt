package org.squeezebert.packaging

import java.io.File
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import org.squeezebert.packaging.engines.ABIS
import org.squeezebert.packaging.engines.EnginePart
import org.squeezebert.packaging.engines.engineTable

/** What an app is packed from. [classes]: folders and jars of it, its modules and libraries. */
class AppParts(
    val classes: List<File>,
    val android: File,
    val resources: File,
    val keepRules: List<File>,
    val assets: File,
    val bundles: List<File>,
    val engines: List<EnginePart>,
    val minSdk: Int,
)

/**
 * Makes `squeezebert-ABI.apk` for every ABI in [target], working in [work].
 *
 * The same parts give the same bytes, with the same JDK: its zlib compresses.
 */
class PackageApp(
    private val parts: AppParts,
    private val key: SigningKey,
    private val work: File,
    private val target: File,
) {
    private val json = Json { prettyPrint = true }

    /** The APKs. */
    fun run(): List<File> {
        val dexInputs =
            DexInputs(
                program = parts.classes + parts.engines.flatMap { it.classes },
                libraries = listOf(parts.android),
                keepRules = parts.keepRules,
                minSdk = parts.minSdk,
            )
        val dex = makeDex(dexInputs, File(work, "dex"))
        val assets = collectAssets()
        target.mkdirs()
        return ABIS.map { abi -> packageFor(abi, dex, assets) }
    }

    private fun packageFor(abi: String, dex: List<File>, assets: Map<String, ByteArray>): File {
        val table = json.encodeToString(JsonElement.serializer(), engineTable(parts.engines, abi))
        val libraries =
            parts.engines
                .flatMap { it.libraries[abi].orEmpty().entries }
                .groupBy({ "$abi/${it.key}" }, { it.value })
                .mapValues { (name, versions) -> theOnly(name, versions) }
        val content =
            ApkContent(
                parts.resources,
                dex,
                assets + ("engines.json" to (table + "\n").toByteArray()),
                libraries,
            )
        val unsigned = File(work, "unsigned-$abi.apk")
        writeApk(content, unsigned)
        val signed = File(work, "signed-$abi.apk")
        sign(unsigned, signed, key, parts.minSdk)
        unsigned.delete()
        return File(target, "squeezebert-$abi.apk").also { signed.replace(it) }
    }

    private fun theOnly(name: String, versions: List<ByteArray>): ByteArray {
        val first = versions.first()
        if (versions.any { !it.contentEquals(first) }) {
            throw PackagingError(
                "Two engines bring different libraries $name.",
                "Give AARs that were built with the same NDK, or leave one engine out.",
            )
        }
        return first
    }

    private fun collectAssets(): Map<String, ByteArray> {
        val names = parts.bundles.map { it.name }
        if (names.toSet().size != names.size) {
            throw PackagingError("Two bundles have the same name.", "Rename one of the folders.")
        }
        val assets = sortedMapOf<String, ByteArray>()
        if (parts.assets.isDirectory) assets += filesBelow(parts.assets)
        for (bundle in parts.bundles) {
            if (!File(bundle, "manifest.json").isFile) {
                throw PackagingError(
                    "$bundle is not a bundle: it has no manifest.json.",
                    "Make one with `squeezebert-export build`, and name it in -Dbundles=FOLDER.",
                )
            }
            assets += filesBelow(bundle).mapKeys { "bundles/${bundle.name}/${it.key}" }
        }
        return assets
    }
}
