package org.squeezebert.core.bundle

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.core.UserError

class ReadBundleTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private fun problem(manifest: (String) -> String): String {
        val folder = writeFiles(temporary.newFolder(), smallFiles(manifest = manifest))
        return assertThrows(UserError::class.java) { readBundle(folder) }.reason
    }

    @Test
    fun `a manifest is read field by field`() {
        val bundle = readBundle(writeFiles(temporary.newFolder()))
        assertEquals("small", bundle.name)
        assertEquals(listOf("no", "yes"), bundle.labels)
        assertEquals(8, bundle.model.maxLength)
        assertEquals(4, bundle.model.groups["query"])
        assertEquals(1, bundle.model.groups["post_attention"])
        assertEquals(listOf("config.json", "tokenizer.json"), bundle.files.map { it.path })
        val artifact = bundle.artifacts.single()
        assertEquals("onnx/model.onnx", artifact.files.single().path)
        assertEquals(listOf(ANY_SIZE, 2), artifact.outputs.single().shape)
    }

    @Test
    fun `a folder without a manifest is no bundle`() {
        val error = assertThrows(UserError::class.java) { readBundle(temporary.newFolder("x")) }
        assertEquals("x is no bundle: it has no manifest.json.", error.reason)
    }

    @Test
    fun `a manifest that is damaged says where`() {
        val wrong = listOf<Pair<String, (String) -> String>>(
            "it is not JSON" to { it.dropLast(1) },
            "it is no JSON object" to { "[]" },
            "it is not JSON" to { "[".repeat(1_000_000) },
            "it is not JSON" to { "{\"a\": ".repeat(1_000_000) },
            "its schema is \"squeezebert-bundle/2\"" to { it.replace("bundle/1", "bundle/2") },
            "model.layers is missing" to { it.replace("\"layers\"", "\"floors\"") },
            "model.heads is no integer" to { it.replace("\"heads\": 1", "\"heads\": \"1\"") },
            "model.groups.key is missing" to { it.replace("\"key\"", "\"lock\"") },
            "model.groups.query is less than 1" to { it.replace("\"query\": 4", "\"query\": 0") },
            "model.heads is less than 1" to { it.replace("\"heads\": 1", "\"heads\": 0") },
            "model.trained is neither true nor false" to { it.replace("true", "1") },
            "labels[1] is no text" to { it.replace("\"yes\"", "2") },
            "labels is no array" to { it.replace("[\"no\", \"yes\"]", "{}") },
            "model is no object" to { it.replace("\"model\": {", "\"model\": 1, \"m\": {") },
            "files[0].bytes is negative" to { it.replace("\"bytes\": 2,", "\"bytes\": -2,") },
            "is no SHA-256" to { it.replace("\"sha256\": \"", "\"sha256\": \"A") },
            "has no files" to
                { it.replace(Regex("\"files\": \\[\\{\"path\": \"onnx[^]]*"), "\"files\": [") },
            "files of onnx/model begin with onnx/model.onnx" to
                { it.replaceFirst("[{\"path\": \"onnx/model.onnx", "[{\"path\": \"onnx/model") },
        )
        for ((reason, change) in wrong) {
            val found = problem(change)
            assertTrue("\"$found\" instead of \"$reason\"", reason in found)
        }
    }

    @Test
    fun `a path that leaves the folder is refused`() {
        val paths = listOf("../x", "/x", "a/../../x", "a\\\\x", "", "a//x", "./x", "x/", "\\u0000")
        for (path in paths) {
            val found = problem { it.replace("\"path\": \"config.json\"", "\"path\": \"$path\"") }
            assertTrue("\"$path\": $found", "leaves the bundle" in found)
        }
    }

    @Test
    fun `an artifact's hash is that of its main file`() {
        val found = problem { it.replaceFirst("1000, \"sha256\": \"", "1000, \"sha256\": \"0") }
        assertTrue(found, "is no SHA-256" in found)
        val other = problem { text ->
            text.replaceFirst(Regex("(1000, \"sha256\": \")[0-9a-f]{2}"), "$1ee")
        }
        assertTrue(other, "is not that of its first file" in other)
    }

    @Test
    fun `files are compared with the manifest`() {
        val folder = writeFiles(temporary.newFolder())
        val bundle = readBundle(folder)
        checkFiles(bundle)
        File(folder, "tokenizer.json").appendText(" ")
        checkFiles(bundle, bundle.artifacts.single())
        assertReason("tokenizer.json has ") { checkFiles(bundle) }
        val model = File(folder, "onnx/model.onnx")
        model.writeBytes(ByteArray(1000))
        assertReason("onnx/model.onnx is not the file") {
            checkFiles(bundle, bundle.artifacts.single())
        }
        model.delete()
        assertReason("onnx/model.onnx is missing") { checkFiles(bundle, bundle.artifacts.single()) }
    }
}

/** Runs [work], which has to fail with a [UserError] whose reason holds [part]. */
fun assertReason(part: String, work: () -> Unit): UserError {
    val error = assertThrows(UserError::class.java) { work() }
    assertTrue("\"${error.reason}\" instead of \"$part\"", part in error.reason)
    assertTrue(error.nextStep.endsWith("."))
    return error
}
