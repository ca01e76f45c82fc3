package org.squeezebert.app.ui

import android.os.Looper
import java.io.File
import java.util.concurrent.CountDownLatch
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model
import org.squeezebert.core.engine.Tensor
import org.squeezebert.core.engine.Tokens

/** Answers with zeros, each inference once [gate] is open; remembers who asked. */
internal class GateEngine(private val gate: CountDownLatch = CountDownLatch(0)) : Engine {
    override val target = "onnx"
    override val name = "Gate"

    @Volatile
    var onMainThread = false

    /** Whether an inference has begun. */
    @Volatile
    var entered = false

    @Volatile
    var inferences = 0

    override fun availability() = Availability.Available("1")

    override fun open(file: File, artifact: Artifact, threads: Int): Model {
        look()
        return object : Model {
            override fun run(input: Tokens): List<Tensor> {
                look()
                entered = true
                gate.await()
                inferences++
                return artifact.outputs.map { output ->
                    val shape = LongArray(output.shape.size) { output.shape[it].toLong() }
                    shape[0] = 1
                    Tensor(output.name, shape, FloatArray(shape.last().toInt()))
                }
            }

            override fun close() = look()
        }
    }

    private fun look() {
        if (Looper.myLooper() == Looper.getMainLooper()) onMainThread = true
    }
}
