package org.squeezebert.core.classify

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.assertReason
import org.squeezebert.core.bundle.readBundle
import org.squeezebert.core.bundle.smallFiles
import org.squeezebert.core.bundle.writeFiles
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model
import org.squeezebert.core.engine.Tensor
import org.squeezebert.core.engine.Tokens

class ClassifierTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private class FixedEngine(private val logits: FloatArray) : Engine {
        override val target = "onnx"
        override val name = "fixed"
        var opened: File? = null
        var threads = 0
        var isClosed = false
        val inputs = ArrayList<Tokens>()

        override fun availability() = Availability.Available("1")

        override fun open(file: File, artifact: Artifact, threads: Int): Model {
            opened = file
            this.threads = threads
            return object : Model {
                override fun run(input: Tokens): List<Tensor> {
                    inputs += input
                    return listOf(Tensor("logits", longArrayOf(1, logits.size.toLong()), logits))
                }

                override fun close() {
                    isClosed = true
                }
            }
        }
    }

    private fun classifier(engine: Engine, task: String = "sequence-classification"): Classifier {
        val bundle = readBundle(writeFiles(temporary.newFolder(), smallFiles(task = task)))
        return Classifier(bundle, bundle.artifacts.single(), engine, threads = 3)
    }

    @Test
    fun `a text gets the model's labels with their probabilities`() {
        val engine = FixedEngine(floatArrayOf(1f, 3f))
        val classifier = classifier(engine)
        val prediction = classifier.classify("ab a", "a b a b a")
        assertEquals(listOf("no", "yes"), prediction.scores.map { it.label })
        assertEquals(listOf(1.0, 3.0), prediction.scores.map { it.logit })
        assertEquals(0.8807970779778823, prediction.scores[1].probability, 1e-15)
        assertEquals("yes", prediction.best.label)
        assertEquals(listOf(2, 8, 5, 3, 5, 11, 5, 3), engine.inputs.single().ids.toList())
        assertEquals(8, prediction.tokens)
        assertTrue(prediction.truncated)
        assertTrue(prediction.tokenizeNanos > 0 && prediction.inferenceNanos > 0)
        assertEquals(File(classifier.bundle.folder, "onnx/model.onnx"), engine.opened)
        assertEquals(3, engine.threads)
        classifier.close()
        assertTrue(engine.isClosed)
    }

    @Test
    fun `answers that mean nothing are refused`() {
        for (wrong in listOf(Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY)) {
            val classifier = classifier(FixedEngine(floatArrayOf(0f, wrong)))
            assertReason("no finite answer") { classifier.classify("a") }
        }
        assertReason("gave 3 numbers for 2 labels") {
            classifier(FixedEngine(FloatArray(3))).classify("a")
        }
    }

    @Test
    fun `other tasks are refused before a model is opened`() {
        val engine = FixedEngine(FloatArray(2))
        assertReason("its task is masked-lm") { classifier(engine, task = "masked-lm") }
        assertEquals(null, engine.opened)
    }

    @Test
    fun `large logits do not overflow`() {
        assertEquals(listOf(0.5, 0.5), softmax(floatArrayOf(3e38f, 3e38f)).toList())
        assertEquals(listOf(1.0, 0.0), softmax(floatArrayOf(1000f, -1000f)).toList())
        assertEquals(1.0, softmax(floatArrayOf(-5f, 0.1f, 7f)).sum(), 1e-15)
        assertEquals(0, softmax(FloatArray(0)).size)
    }
}
