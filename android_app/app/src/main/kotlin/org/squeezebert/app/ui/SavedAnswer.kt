package org.squeezebert.app.ui

import android.os.Bundle
import org.squeezebert.app.work.ClassifyState
import org.squeezebert.app.work.ModelId
import org.squeezebert.app.work.ModelOption
import org.squeezebert.app.work.Question
import org.squeezebert.core.classify.Prediction
import org.squeezebert.core.classify.Score

/** What [text] and [pair] ask of [model]; null while one that it reads is blank. */
internal fun question(model: ModelOption, text: String, pair: String): Question? {
    val pairs = model.bundle.readsPairs
    if (text.isBlank() || (pairs && pair.isBlank())) return null
    return Question(model.id, text, pair.takeIf { pairs })
}

/** An answer for [restoreAnswer] in a later process. */
internal fun saveAnswer(answer: ClassifyState.Done): Bundle = Bundle().apply {
    val (question, prediction) = answer.question to answer.prediction
    val (bundle, artifact) = question.model
    putStringArray("question", arrayOf(bundle, artifact, question.text))
    putString("pair", question.pair)
    putStringArray("labels", prediction.scores.map { it.label }.toTypedArray())
    putDoubleArray("probabilities", prediction.scores.map { it.probability }.toDoubleArray())
    putDoubleArray("logits", prediction.scores.map { it.logit }.toDoubleArray())
    putInt("tokens", prediction.tokens)
    putBoolean("truncated", prediction.truncated)
    putLongArray("nanos", longArrayOf(prediction.tokenizeNanos, prediction.inferenceNanos))
}

/** The answer that [saveAnswer] has put in [saved]. */
internal fun restoreAnswer(saved: Bundle): ClassifyState.Done {
    val (bundle, artifact, text) = saved.getStringArray("question")!!
    val labels = saved.getStringArray("labels")!!
    val probabilities = saved.getDoubleArray("probabilities")!!
    val logits = saved.getDoubleArray("logits")!!
    val (tokenizing, inference) = saved.getLongArray("nanos")!!
    return ClassifyState.Done(
        Question(ModelId(bundle, artifact), text, saved.getString("pair")),
        Prediction(
            labels.indices.map { Score(labels[it], probabilities[it], logits[it]) },
            saved.getInt("tokens"),
            saved.getBoolean("truncated"),
            tokenizing,
            inference,
        ),
    )
}
