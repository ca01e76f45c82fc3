package org.squeezebert.app.engines

import android.content.res.AssetManager
import java.io.FileNotFoundException
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.contentOrNull

/**
 * What the build says of an engine's part in this app: the engine's target, the part's version,
 * where it comes from, the processors it is for, and its SHA-256. Null: the build does not say it.
 */
data class PackedEngine(
    val target: String,
    val version: String?,
    val source: String?,
    val abis: List<String>,
    val sha256: String?,
)

/**
 * The table that the packaging writes into the app, `assets/engines.json`; empty in an app that was
 * put together without one, as Gradle does it.
 */
fun packedEngines(assets: AssetManager): List<PackedEngine> {
    val text = try {
        assets.open("engines.json").use { it.readBytes().decodeToString() }
    } catch (_: FileNotFoundException) {
        return emptyList()
    }
    return (Json.parseToJsonElement(text) as JsonArray).map { packedEngine(it as JsonObject) }
}

private fun packedEngine(row: JsonObject) = PackedEngine(
    target = row.getValue("engine").text().orEmpty(),
    version = row["version"].text(),
    source = row["source"].text(),
    abis = (row["abis"] as? JsonArray).orEmpty().mapNotNull { it.text() },
    sha256 = row["sha256"].text(),
)

private fun JsonElement?.text(): String? = (this as? JsonPrimitive)?.contentOrNull
