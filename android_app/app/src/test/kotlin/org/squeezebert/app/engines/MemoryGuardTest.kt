package org.squeezebert.app.engines

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Test
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.StoredFile
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model
import org.squeezebert.core.engine.Tensor
import org.squeezebert.core.engine.Tokens

class MemoryGuardTest {
    private val model = object : Model {
        override fun run(input: Tokens) = emptyList<Tensor>()

        override fun close() = Unit
    }

    private val engine = object : Engine {
        override val target = "onnx"
        override val name = "An engine"

        override fun availability() = Availability.Available("1")

        override fun open(file: File, artifact: Artifact, threads: Int) = model
    }

    /** 40 MB in two files: 2.5 times as much is 100 MB. */
    private val artifact = Artifact(
        path = "onnx/model.onnx",
        target = "onnx",
        flavour = "optimized",
        precision = "fp32",
        bytes = 10_000_000,
        sha256 = "",
        fingerprint = null,
        files = listOf(
            StoredFile("onnx/model.onnx", 10_000_000, ""),
            StoredFile("onnx/model.onnx.data", 30_000_000, ""),
        ),
        inputs = emptyList(),
        outputs = emptyList(),
    )

    private fun open(free: Long) = MemoryGuard(engine) { free }.open(File("model"), artifact, 1)

    @Test
    fun `a model that fits is opened`() = assertSame(model, open(100_000_000))

    @Test
    fun `all files of a model count, as often as a runtime holds them`() {
        val error = assertThrows(UserError::class.java) { open(99_999_999) }
        assertEquals(
            "onnx/model.onnx needs about 100 MB of memory; 99 MB are free.", error.reason,
        )
    }
}
