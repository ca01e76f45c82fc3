package org.squeezebert.app.work

import org.squeezebert.core.UserError
import org.squeezebert.core.classify.Classifier
import org.squeezebert.core.classify.Prediction

/** A text, or a pair, for a model. */
data class Question(val model: ModelId, val text: String, val pair: String?)

/** Where classifying stands. */
sealed interface ClassifyState {
    data object Idle : ClassifyState

    data class Running(val question: Question) : ClassifyState

    class Done(val question: Question, val prediction: Prediction) : ClassifyState

    class Failed(val question: Question, val error: UserError) : ClassifyState
}

/**
 * Answers one question after the other, and keeps the model open for the next one. For the main
 * thread; every change is told to [changed].
 */
class Classification(
    private val threads: Int,
    private val background: Background,
    private val changed: () -> Unit,
) {
    // The background thread looks whether a question still is wanted.
    @Volatile
    var state: ClassifyState = ClassifyState.Idle
        private set

    private var before: ClassifyState = ClassifyState.Idle

    // Only touched by the background thread.
    private var open: Pair<ModelOption, Classifier>? = null

    /** Classifies with [option]. An earlier question that still waits gets no answer. */
    fun classify(option: ModelOption, text: String, pair: String?) {
        if (state !is ClassifyState.Running) before = state
        val running = ClassifyState.Running(Question(option.id, text, pair))
        become(running)
        background.run({ if (state === running) answer(option, text, pair) else null }) { result ->
            if (state !== running) return@run
            become(
                result.fold(
                    { if (it == null) before else ClassifyState.Done(running.question, it) },
                    { ClassifyState.Failed(running.question, it as UserError) },
                ),
            )
        }
    }

    /** Forgets the question that is being computed; what was shown before it comes back. */
    fun cancel() {
        if (state is ClassifyState.Running) become(before)
    }

    /** Shows an answer of an earlier process. */
    fun restore(answer: ClassifyState.Done) {
        if (state == ClassifyState.Idle) become(answer)
    }

    /** Closes the open model, to give its memory back. */
    fun close() {
        background.run(::closeNow) {}
    }

    private fun answer(option: ModelOption, text: String, pair: String?): Prediction {
        open?.let { (opened, classifier) ->
            // Another object of the same id has been imported anew.
            if (opened === option) return classifier.classify(text, pair)
        }
        closeNow()
        val classifier = Classifier(
            option.bundle,
            option.artifact,
            option.engine ?: throw checkNotNull(option.missing),
            threads,
        )
        open = option to classifier
        return classifier.classify(text, pair)
    }

    private fun closeNow() {
        open?.second?.close()
        open = null
    }

    private fun become(next: ClassifyState) {
        state = next
        changed()
    }
}
