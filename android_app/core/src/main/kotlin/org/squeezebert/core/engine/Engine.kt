package org.squeezebert.core.engine

import java.io.File
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact

/** A runtime that opens the models of one target. Every method may be called from any thread. */
interface Engine {
    /** The target as a bundle's manifest calls it: "onnx", "executorch". */
    val target: String

    /** Its name for people: "ONNX Runtime". */
    val name: String

    /** Whether it is in this app and runs on this processor. Never throws. */
    fun availability(): Availability

    /**
     * Loads [artifact], whose main file lies at [file], to compute with [threads] threads.
     *
     * Takes as long as reading the model. Throws [UserError] where the engine is not available, or
     * where the file cannot be loaded.
     */
    fun open(file: File, artifact: Artifact, threads: Int): Model
}

/** What an engine says of itself on this device. */
sealed interface Availability {
    /** [version] of the runtime, for records. */
    data class Available(val version: String) : Availability

    /** Not in this app, or not for this processor. */
    data class Missing(val why: UserError) : Availability
}

/** A loaded model. It may be closed at any time and twice: an inference that runs is waited for. */
interface Model : AutoCloseable {
    /**
     * One inference, batch 1; the outputs in the order of the manifest.
     *
     * Throws [UserError] where the engine refuses [input], and after [close].
     */
    fun run(input: Tokens): List<Tensor>

    override fun close()
}

/**
 * A tokenized text or pair. Three arrays of one length: token ids, 1 for a token and 0 for padding,
 * 0 for the first text and 1 for the second.
 */
class Tokens(val ids: IntArray, val mask: IntArray, val types: IntArray) {
    init {
        require(ids.size == mask.size && ids.size == types.size) { "arrays of one length" }
    }

    val length: Int get() = ids.size
}

/** An output: [values] in row-major order. */
class Tensor(val name: String, val shape: LongArray, val values: FloatArray)
