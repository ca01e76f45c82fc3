package org.squeezebert.app.work

import java.io.File
import java.security.MessageDigest

/** Writes a bundle of one made-up model with two labels to [folder]. */
internal fun writeSmallBundle(folder: File) {
    val weights = ByteArray(1000) { it.toByte() }
    File(folder, "onnx").mkdirs()
    File(folder, "onnx/model.onnx").writeBytes(weights)
    val hash = MessageDigest.getInstance("SHA-256").digest(weights)
        .joinToString("") { "%02x".format(it) }
    val file = """"path": "onnx/model.onnx", "bytes": 1000, "sha256": "$hash""""
    File(folder, "manifest.json").writeText(
        """
        {"schema": "squeezebert-bundle/1", "recipe": "squeezebert-export", "files": [],
         "model": {"source": "example:small", "source_hash": null, "architecture": "SqueezeBert",
          "family": "squeezebert", "task": "sequence-classification", "trained": true,
          "parameters": 10, "vocab_size": 12, "max_length": 8, "max_positions": 8, "layers": 1,
          "hidden_size": 4, "intermediate_size": 4, "heads": 1, "groups": {"query": 4, "key": 4,
          "value": 4, "post_attention": 1, "intermediate": 4, "output": 4}},
         "labels": ["no", "yes"],
         "artifacts": [{$file, "target": "onnx", "flavour": "optimized", "precision": "int8",
          "fingerprint": null, "files": [{$file}],
          "inputs": [{"name": "input_ids", "dtype": "int64", "shape": ["batch", "sequence"]}],
          "outputs": [{"name": "logits", "dtype": "float32", "shape": ["batch", 2]}]}]}
        """,
    )
}
