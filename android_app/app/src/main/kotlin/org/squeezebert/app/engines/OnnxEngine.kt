package org.squeezebert.app.engines

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import ai.onnxruntime.OrtSession
import java.io.File
import java.nio.IntBuffer
import java.nio.LongBuffer
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.TensorSpec
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model
import org.squeezebert.core.engine.Tensor
import org.squeezebert.core.engine.Tokens

/**
 * ONNX Runtime through its Java API, the same on Android and on a desktop JVM.
 *
 * [unsupported] says why the processor cannot run the library; null where it can.
 */
class OnnxEngine(private val unsupported: () -> UserError? = { null }) : Engine {
    override val target = "onnx"
    override val name = "ONNX Runtime"

    private val environment: Result<OrtEnvironment> by lazy {
        loadingLibrary(name, unsupported) {
            OrtEnvironment.getEnvironment().also { it.setTelemetry(false) }
        }
    }

    override fun availability(): Availability =
        environment.fold({ Availability.Available(it.version) }, { missing(it) })

    override fun open(file: File, artifact: Artifact, threads: Int): Model {
        val environment = environment.getOrThrow()
        requireThreads(threads)
        try {
            OrtSession.SessionOptions().use { options ->
                options.setIntraOpNumThreads(threads)
                options.setInterOpNumThreads(1)
                // Threads that spin between two inferences warm the phone and take its battery.
                options.addConfigEntry("session.intra_op.allow_spinning", "0")
                val session = environment.createSession(file.path, options)
                return OneAtATime(OnnxModel(environment, session, artifact), file.name)
            }
        } catch (error: OrtException) {
            throw UserError(
                "$name cannot load ${file.name}: ${firstLine(error)}.",
                "Export the bundle again and prove it with: squeezebert-export verify BUNDLE",
                error,
            )
        }
    }
}

private class OnnxModel(
    private val environment: OrtEnvironment,
    private val session: OrtSession,
    private val artifact: Artifact,
) : Model {
    override fun run(input: Tokens): List<Tensor> {
        val inputs = LinkedHashMap<String, OnnxTensor>()
        try {
            for (spec in artifact.inputs) {
                inputs[spec.name] = tensor(spec, values(spec, input))
            }
            session.run(inputs).use { results -> return artifact.outputs.map { read(it, results) } }
        } catch (error: OrtException) {
            throw UserError(
                "ONNX Runtime refused ${input.length} tokens: ${firstLine(error)}.",
                "Shorten the text, or choose another model.",
                error,
            )
        } finally {
            inputs.values.forEach(OnnxTensor::close)
        }
    }

    override fun close() = session.close()

    private fun tensor(spec: TensorSpec, values: IntArray): OnnxTensor {
        val shape = longArrayOf(1, values.size.toLong())
        return when (spec.dtype) {
            "int64" -> {
                val longs = LongBuffer.wrap(LongArray(values.size) { values[it].toLong() })
                OnnxTensor.createTensor(environment, longs, shape)
            }
            "int32" -> OnnxTensor.createTensor(environment, IntBuffer.wrap(values), shape)
            else -> throw wrongType(spec, artifact)
        }
    }

    private fun read(spec: TensorSpec, results: OrtSession.Result): Tensor {
        val value = results.get(spec.name).orElse(null) as? OnnxTensor
            ?: throw UserError(
                "${artifact.path} has no output ${spec.name}, which its manifest promises.",
                "Prove the bundle with: squeezebert-export verify BUNDLE",
            )
        // Half precision comes out of this buffer as floats too.
        val buffer = value.floatBuffer ?: throw wrongType(spec, artifact)
        return Tensor(spec.name, value.info.shape, FloatArray(buffer.remaining()).also(buffer::get))
    }
}
