package org.squeezebert.app.ui

import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView
import org.squeezebert.app.R
import org.squeezebert.app.work.ClassifyState
import org.squeezebert.app.work.ModelOption
import org.squeezebert.core.classify.Prediction

/** The labels with their probabilities as bars, and what the inference took. */
internal class AnswerCard(root: View, private val formats: Formats) {
    private val context = root.context
    private val none = root.findViewById<View>(R.id.result_none)
    private val noneHeading = root.findViewById<TextView>(R.id.result_none_heading)
    private val noneNext = root.findViewById<TextView>(R.id.result_none_next)
    private val card = root.findViewById<View>(R.id.result)
    private val verdict = root.findViewById<TextView>(R.id.result_verdict)
    private val notice = root.findViewById<TextView>(R.id.result_notice)
    private val scores = root.findViewById<LinearLayout>(R.id.scores)
    private val more = root.findViewById<Button>(R.id.more_scores)
    private val facts = root.findViewById<LinearLayout>(R.id.result_facts)
    private var shown: Prediction? = null
    private var all = false

    /** Where the card begins on its page. */
    val top: Int get() = (card.parent as View).top

    init {
        more.setOnClickListener {
            all = !all
            shown?.let(::showScores)
        }
    }

    /**
     * Shows the answer of [state], or why there is none: [waiting] names what is going on.
     *
     * @param model what has answered; null where another one is chosen by now.
     * @param earlier whether the texts have changed since.
     */
    fun show(state: ClassifyState, model: ModelOption?, earlier: Boolean, waiting: Int) {
        val prediction = (state as? ClassifyState.Done)?.prediction
        none.show(prediction == null && state !is ClassifyState.Failed)
        card.show(prediction != null)
        val busy = state is ClassifyState.Running
        noneHeading.showText(context.getString(if (busy) waiting else R.string.result_none))
        noneNext.showText(context.getString(R.string.result_none_next).takeIf { !busy })
        if (prediction == null) return
        notice.showText(
            listOfNotNull(
                R.string.result_earlier.takeIf { earlier },
                R.string.result_truncated.takeIf { prediction.truncated },
                R.string.result_untrained.takeIf { model?.bundle?.model?.trained == false },
            ).joinToString("\n") { context.getString(it) }.ifEmpty { null },
        )
        if (prediction === shown) return
        shown = prediction
        verdict.showText(prediction.scores.maxBy { it.probability }.label)
        showScores(prediction)
        facts.removeAllViews()
        facts.addFact(
            context.getString(R.string.inference),
            formats.milliseconds(prediction.inferenceNanos),
        )
        facts.addFact(
            context.getString(R.string.tokenizer),
            formats.milliseconds(prediction.tokenizeNanos),
        )
        facts.addFact(context.getString(R.string.tokens), formats.number(prediction.tokens))
    }

    fun save(state: Bundle) = state.putBoolean(ALL, all)

    fun restore(state: Bundle) {
        all = state.getBoolean(ALL)
    }

    private fun showScores(prediction: Prediction) {
        val sorted = prediction.scores.sortedByDescending { it.probability }
        scores.removeAllViews()
        sorted.take(if (all) sorted.size else FEW).forEachIndexed { rank, score ->
            val row = scores.add<View>(R.layout.score)
            val percent = formats.percent(score.probability)
            row.findViewById<TextView>(R.id.score_label).text = score.label
            row.findViewById<TextView>(R.id.score_percent).text = percent
            row.findViewById<ProportionView>(R.id.score_bar)
                .show(score.probability, strong = rank == 0)
            row.contentDescription = context.getString(R.string.score_spoken, score.label, percent)
        }
        more.show(sorted.size > FEW)
        more.text = if (all) {
            context.getString(R.string.show_fewer)
        } else {
            context.getString(R.string.show_all, formats.number(sorted.size))
        }
    }

    private companion object {
        /** So many labels are shown at first; models with few show all. */
        const val FEW = 5

        const val ALL = "answer.all"
    }
}
