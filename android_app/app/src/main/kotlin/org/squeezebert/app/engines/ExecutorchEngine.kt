package org.squeezebert.app.engines

import java.io.File
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model
import org.squeezebert.core.engine.Tensor
import org.squeezebert.core.engine.Tokens

/** A loaded ExecuTorch program, as far as this app needs it. Errors are RuntimeExceptions. */
interface Program : AutoCloseable {
    val methods: Set<String>

    /** Gets a method ready; its first run would do so otherwise. */
    fun load(method: String)

    /** Runs [method] on int64 tensors of the shape [1, T]; the outputs' shapes and values. */
    fun run(method: String, inputs: List<LongArray>): List<Pair<LongArray, FloatArray>>

    override fun close()
}

/** Where programs come from: the library on a phone, something else in tests. */
interface ProgramLoader {
    /** Loads the native library and tells its version; throws LinkageError where it is not there. */
    fun version(): String

    fun load(path: String, threads: Int): Program
}

/**
 * ExecuTorch. [unsupported] says why the processor cannot run the library; null where it can.
 *
 * A program has one method `forward` for every length, or methods `forward_32`, `forward_64`, ...
 * for fixed lengths. Then a text runs in the shortest that is long enough: padding is masked, and
 * cut off from outputs that have an axis of tokens.
 */
class ExecutorchEngine(
    private val loader: ProgramLoader,
    private val unsupported: () -> UserError? = { null },
) : Engine {
    override val target = "executorch"
    override val name = "ExecuTorch"

    private val version: Result<String> by lazy {
        loadingLibrary(name, unsupported, loader::version)
    }

    override fun availability(): Availability =
        version.fold({ Availability.Available(it) }, { missing(it) })

    override fun open(file: File, artifact: Artifact, threads: Int): Model {
        version.getOrThrow()
        requireThreads(threads)
        artifact.inputs.firstOrNull { it.dtype != "int64" }?.let { throw wrongType(it, artifact) }
        // The library looks at the file no earlier than at the first run, and then says only a number.
        if (!file.isFile) throw cannotLoad(file, "there is no such file")
        try {
            val program = loader.load(file.path, threads)
            try {
                val lengths = lengths(program, file)
                program.load(lengths.firstOrNull()?.let(::bucket) ?: FORWARD)
                return OneAtATime(ExecutorchModel(program, lengths, artifact), file.name)
            } catch (error: Throwable) {
                program.close()
                throw error
            }
        } catch (error: RuntimeException) {
            throw cannotLoad(file, firstLine(error), error)
        }
    }

    /** The fixed lengths of the program's methods, ascending; none where `forward` takes any. */
    private fun lengths(program: Program, file: File): List<Int> {
        if (FORWARD in program.methods) return emptyList()
        val lengths = program.methods.mapNotNull { BUCKET.matchEntire(it) }
            .map { it.groupValues[1].toInt() }
            .sorted()
        if (lengths.isEmpty()) throw cannotLoad(file, "it has no method forward")
        return lengths
    }

    private fun cannotLoad(file: File, why: String, cause: Throwable? = null) = UserError(
        "$name cannot load ${file.name}: $why.",
        "Export the bundle again and prove it with: squeezebert-export verify BUNDLE",
        cause,
    )
}

private const val FORWARD = "forward"
private val BUCKET = Regex("forward_(\\d{1,6})")

private fun bucket(length: Int) = "forward_$length"

private class ExecutorchModel(
    private val program: Program,
    private val lengths: List<Int>,
    private val artifact: Artifact,
) : Model {
    override fun run(input: Tokens): List<Tensor> {
        val padded = if (lengths.isEmpty()) input.length else fitting(input.length)
        val method = if (lengths.isEmpty()) FORWARD else bucket(padded)
        val inputs = artifact.inputs.map { spec ->
            val values = values(spec, input)
            LongArray(padded) { if (it < values.size) values[it].toLong() else 0 }
        }
        val outputs = try {
            program.run(method, inputs)
        } catch (error: RuntimeException) {
            throw UserError(
                "ExecuTorch refused ${input.length} tokens: ${firstLine(error)}.",
                "Shorten the text, or choose another model.",
                error,
            )
        }
        if (outputs.size != artifact.outputs.size) {
            throw UserError(
                "${artifact.path} gave ${outputs.size} outputs; its manifest promises " +
                    "${artifact.outputs.size}.",
                "Prove the bundle with: squeezebert-export verify BUNDLE",
            )
        }
        return artifact.outputs.zip(outputs) { spec, (shape, values) ->
            cut(Tensor(spec.name, shape, values), padded, input.length)
        }
    }

    override fun close() = program.close()

    private fun fitting(length: Int): Int = lengths.firstOrNull { it >= length }
        ?: throw UserError(
            "$length tokens are too many: ${artifact.path} takes at most ${lengths.last()}.",
            "Shorten the text.",
        )

    /** Without the padding of an output of the shape [1, padded, ...]. */
    private fun cut(output: Tensor, padded: Int, length: Int): Tensor {
        val byToken = output.shape.size == 3 && output.shape[1] == padded.toLong()
        if (padded == length || !byToken) return output
        val width = output.shape[2].toInt()
        val shape = longArrayOf(1, length.toLong(), width.toLong())
        return Tensor(output.name, shape, output.values.copyOf(length * width))
    }
}
