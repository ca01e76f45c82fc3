package org.squeezebert.core.benchmark

import java.io.File
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model
import org.squeezebert.core.engine.Tensor
import org.squeezebert.core.engine.Tokens

/** An engine that computes nothing, and lets the phone's clock go on as if it did. */
class FakeEngine(private val phone: FakePhone, override val target: String = "onnx") : Engine {
    /** What a file's model answers. */
    var answer: (file: File, input: Tokens) -> List<Tensor> = { _, _ ->
        listOf(Tensor("logits", longArrayOf(1, 3), floatArrayOf(1f, -2f, 0.5f)))
    }

    /** What one inference takes at full speed, ns. */
    var nanos: (file: File, input: Tokens) -> Long = { _, input -> 100_000L * input.length }
    var available: Availability = Availability.Available("1.0")

    /** What opening a file throws. */
    var refuses: (file: File) -> Throwable? = { null }
    var inferences = 0
    var opened = 0
    val open = mutableListOf<File>()

    override val name = "Fake"

    override fun availability() = available

    override fun open(file: File, artifact: Artifact, threads: Int): Model {
        refuses(file)?.let { throw it }
        phone.compute(20_000_000)
        open += file
        opened++
        return FakeModel(file)
    }

    private inner class FakeModel(private val file: File) : Model {
        private var closed = false

        override fun run(input: Tokens): List<Tensor> {
            if (closed) throw UserError("The model is closed.", "Open it again.")
            inferences++
            phone.compute(nanos(file, input))
            return answer(file, input)
        }

        override fun close() {
            if (!closed) open -= file
            closed = true
        }
    }
}
