package org.squeezebert.core.bundle

import java.io.ByteArrayOutputStream
import java.io.File
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream

/** A tokenizer of a few pieces. */
const val SMALL_TOKENIZER = """{
  "added_tokens": [
    {"id": 4, "content": "[MASK]", "single_word": false, "normalized": false},
    {"id": 0, "content": "[PAD]", "single_word": false, "normalized": false}
  ],
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
    "strip_accents": null, "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"},
  "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 10, "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3,
      "[MASK]": 4, "a": 5, "##b": 6, "##bc": 7, "ab": 8, "!": 9, "中": 10, "b": 11}}
}"""

/** The files of a small bundle by their path: a classifier of two labels with made-up weights. */
fun smallFiles(
    tokenizer: String = SMALL_TOKENIZER,
    weights: ByteArray = ByteArray(1000) { it.toByte() },
    task: String = "sequence-classification",
    manifest: (String) -> String = { it },
): Map<String, ByteArray> {
    val contents = linkedMapOf(
        "config.json" to "{}".toByteArray(),
        "onnx/model.onnx" to weights,
        "README.md" to "# A model".toByteArray(),
        "tokenizer.json" to tokenizer.toByteArray(),
    )
    fun record(path: String) = """{"path": "$path", "bytes": ${contents.getValue(path).size},
        "sha256": "${sha256(contents.getValue(path).inputStream())}"}"""
    val document = """{
      "schema": "squeezebert-bundle/1", "recipe": "squeezebert-export", "unknown": [],
      "model": {"source": "example:small", "source_hash": "${"0".repeat(64)}",
        "architecture": "SqueezeBert", "family": "squeezebert", "task": "$task", "trained": true,
        "parameters": 10, "vocab_size": 12, "max_length": 8, "max_positions": 8, "layers": 1,
        "hidden_size": 1, "intermediate_size": 1, "heads": 1, "groups": {"query": 4, "key": 4,
        "value": 4, "post_attention": 1, "intermediate": 4, "output": 4}},
      "labels": ["no", "yes"],
      "files": [${record("config.json")}, ${record("tokenizer.json")}],
      "artifacts": [{"path": "onnx/model.onnx", "target": "onnx", "flavour": "optimized",
        "precision": "int8", "bytes": ${weights.size}, "sha256": "${sha256(weights.inputStream())}",
        "fingerprint": "${"1".repeat(64)}", "files": [${record("onnx/model.onnx")}],
        "inputs": [{"name": "input_ids", "dtype": "int64", "shape": ["batch", "sequence"]}],
        "outputs": [{"name": "logits", "dtype": "float32", "shape": ["batch", 2]}]}]
    }"""
    contents["manifest.json"] = manifest(document).toByteArray()
    return contents
}

/** Writes [files] below [folder], which it gives back. */
fun writeFiles(folder: File, files: Map<String, ByteArray> = smallFiles()): File {
    for ((path, content) in files) {
        val file = File(folder, path)
        file.parentFile.mkdirs()
        file.writeBytes(content)
    }
    return folder
}

/** A zip file of [files]. */
fun zipOf(files: Map<String, ByteArray>): ByteArray {
    val bytes = ByteArrayOutputStream()
    ZipOutputStream(bytes).use { zip ->
        for ((path, content) in files) {
            zip.putNextEntry(ZipEntry(path))
            zip.write(content)
        }
    }
    return bytes.toByteArray()
}
