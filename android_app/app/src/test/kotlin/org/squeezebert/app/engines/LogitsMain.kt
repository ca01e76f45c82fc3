package org.squeezebert.app.engines

import java.io.File
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.squeezebert.core.bundle.readBundle
import org.squeezebert.core.text.Tokenizer

/**
 * What the app computes with ONNX Runtime, for comparison with Python.
 *
 * Arguments: a bundle's folder and an artifact's path. Reads JSON lines {"text", "pair"} and answers
 * each with {"ids", "logits"}.
 */
fun main(arguments: Array<String>) {
    val bundle = readBundle(File(arguments[0]))
    val artifact = bundle.artifacts.single { it.path == arguments[1] }
    val tokenizer = Tokenizer.read(bundle)
    OnnxEngine().open(File(bundle.folder, artifact.path), artifact, threads = 1).use { model ->
        generateSequence(::readlnOrNull).forEach { line ->
            val request = Json.parseToJsonElement(line).jsonObject
            val tokens = tokenizer.encode(
                request.getValue("text").jsonPrimitive.content,
                request["pair"]?.jsonPrimitive?.contentOrNull,
            ).tokens
            val answer = buildJsonObject {
                put("ids", JsonArray(tokens.ids.map(::JsonPrimitive)))
                put("logits", JsonArray(model.run(tokens).single().values.map(::JsonPrimitive)))
            }
            println(answer)
        }
    }
}
