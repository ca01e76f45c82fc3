package org.squeezebert.core.classify

import java.io.File
import kotlin.math.exp
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.Bundle
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model
import org.squeezebert.core.engine.Tensor
import org.squeezebert.core.text.Tokenizer

/**
 * What a model says of a text.
 *
 * @property scores one for each label, in the model's order.
 * @property tokens how many the model has read, special tokens included.
 * @property truncated whether the text had more than the model takes.
 * @property tokenizeNanos time to make the tokens.
 * @property inferenceNanos time of the engine.
 */
class Prediction(
    val scores: List<Score>,
    val tokens: Int,
    val truncated: Boolean,
    val tokenizeNanos: Long,
    val inferenceNanos: Long,
) {
    /** The likeliest label. */
    val best: Score get() = scores.maxBy { it.logit }
}

/** A [label], its [probability] (0 to 1, all labels together 1) and what the model gave for it. */
class Score(val label: String, val probability: Double, val logit: Double)

/**
 * From a text to its label, with a model that [engine] has opened with [threads] threads.
 *
 * Opening takes as long as the engine needs to read the model; no hash is compared here, bundles of
 * a BundleStore have come in with theirs. May be used from any thread, and closed at any time.
 *
 * Throws [UserError] where the bundle is no classifier, its tokenizer cannot be read, or the engine
 * cannot load the model.
 */
class Classifier(
    val bundle: Bundle,
    val artifact: Artifact,
    engine: Engine,
    threads: Int,
) : AutoCloseable {
    private val tokenizer: Tokenizer
    private val model: Model

    init {
        requireClassifier(bundle)
        tokenizer = Tokenizer.read(bundle)
        model = engine.open(File(bundle.folder, artifact.path), artifact, threads)
    }

    /**
     * Tokenizes [text], or [text] and [pair], cut to what the model takes, and runs the model.
     *
     * Throws [UserError] where the engine refuses, after [close], and where the answer is not one
     * finite number for each label.
     */
    fun classify(text: String, pair: String? = null): Prediction {
        val begin = System.nanoTime()
        val encoding = tokenizer.encode(text, pair)
        val encoded = System.nanoTime()
        val outputs = model.run(encoding.tokens)
        val finished = System.nanoTime()
        return Prediction(
            scores = scores(logits(outputs)),
            tokens = encoding.tokens.length,
            truncated = encoding.truncated,
            tokenizeNanos = encoded - begin,
            inferenceNanos = finished - encoded,
        )
    }

    override fun close() = model.close()

    private fun logits(outputs: List<Tensor>): FloatArray {
        val logits = outputs.firstOrNull()?.values ?: FloatArray(0)
        if (logits.size != bundle.labels.size) {
            throw UserError(
                "${artifact.path} gave ${logits.size} numbers for ${bundle.labels.size} labels.",
                "Build the bundle again.",
            )
        }
        if (!logits.all { it.isFinite() }) {
            throw UserError(
                "${artifact.path} gives no finite answer to this text.",
                "Choose a model of this bundle in fp32, or build one.",
            )
        }
        return logits
    }

    private fun scores(logits: FloatArray): List<Score> {
        val probabilities = softmax(logits)
        return bundle.labels.mapIndexed { index, label ->
            Score(label, probabilities[index], logits[index].toDouble())
        }
    }
}

/** Probabilities in the proportions of e to the power of the finite [logits]; together 1. */
fun softmax(logits: FloatArray): DoubleArray {
    val largest = logits.maxOrNull() ?: return DoubleArray(0)
    // Less the largest: no power overflows, and the proportions stay.
    val powers = DoubleArray(logits.size) { exp(logits[it].toDouble() - largest) }
    val sum = powers.sum()
    return DoubleArray(powers.size) { powers[it] / sum }
}

private const val CLASSIFICATION = "sequence-classification"

private fun requireClassifier(bundle: Bundle) {
    if (bundle.model.task != CLASSIFICATION || bundle.labels.isEmpty()) {
        throw UserError(
            "${bundle.name} gives no labels to texts: its task is ${bundle.model.task}.",
            "Choose a bundle of a classifier.",
        )
    }
}
