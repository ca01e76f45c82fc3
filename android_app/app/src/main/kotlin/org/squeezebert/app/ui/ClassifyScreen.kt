package org.squeezebert.app.ui

import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.ScrollView
import android.widget.TextView
import org.squeezebert.app.R
import org.squeezebert.app.Workplace
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.app.work.ClassifyState
import org.squeezebert.app.work.ImportState
import org.squeezebert.app.work.ModelId
import org.squeezebert.app.work.ModelOption

/**
 * A text or pair, its labels with their probabilities, and how long that took.
 *
 * @param chooseModel shows the models to choose from.
 */
internal class ClassifyScreen(
    private val root: View,
    private val workplace: Workplace,
    private val chooseModel: () -> Unit,
) : Screen {
    private val context = root.context
    private val formats = Formats(context)
    private val premise = field(R.id.premise_label, R.id.premise_field, R.id.premise_clear)
    private val hypothesis =
        field(R.id.hypothesis_label, R.id.hypothesis_field, R.id.hypothesis_clear)
    private val button = root.findViewById<Button>(R.id.classify_button)
    private val examples = root.findViewById<FlowLayout>(R.id.examples)
    private val answer = AnswerCard(root, formats)
    private val error = ErrorCard(
        root.findViewById(R.id.classify_error),
        root.findViewById(R.id.classify_error_reason),
        root.findViewById(R.id.classify_error_next),
    )
    private var chosen: ModelId? = null
    private var examplesForPairs: Boolean? = null
    private var scrollToAnswer = false

    init {
        root.findViewById<View>(R.id.model_card).setOnClickListener { chooseModel() }
        button.setOnClickListener { onButton() }
    }

    /** The model that classifies: the chosen one, or else one that works here, best for pairs. */
    val model: ModelOption?
        get() {
            val usable = workplace.models.options.filter { it.classifies }
            return usable.firstOrNull { it.id == chosen }
                ?: usable.maxByOrNull { (if (it.missing == null) 2 else 0) + it.pairScore }
        }

    private val ModelOption.pairScore get() = if (bundle.readsPairs) 1 else 0

    /** Classifies with another model from now on. */
    fun choose(id: ModelId) {
        chosen = id
        render()
    }

    override fun save(state: Bundle) {
        chosen?.let {
            state.putString(CHOSEN_BUNDLE, it.bundle)
            state.putString(CHOSEN_ARTIFACT, it.artifact)
        }
        (workplace.classification.state as? ClassifyState.Done)?.let {
            state.putBundle(ANSWER, saveAnswer(it))
        }
        answer.save(state)
    }

    override fun restore(state: Bundle) {
        val bundle = state.getString(CHOSEN_BUNDLE)
        val artifact = state.getString(CHOSEN_ARTIFACT)
        if (bundle != null && artifact != null) chosen = ModelId(bundle, artifact)
        state.getBundle(ANSWER)?.let { workplace.classification.restore(restoreAnswer(it)) }
        answer.restore(state)
    }

    override fun render() {
        val model = model
        showModel(model)
        showFields(model)
        val state = workplace.classification.state
        val running = state is ClassifyState.Running
        val measuring = workplace.benchmarking.state is BenchmarkState.Running
        button.setText(if (running) R.string.cancel else R.string.classify)
        val importing = workplace.models.importing.state is ImportState.Running
        button.isEnabled = running ||
            (!measuring && !importing && model?.missing == null && asked() != null)
        error.show((state as? ClassifyState.Failed)?.error ?: model?.missing)
        answer.show(
            state,
            model?.takeIf { state is ClassifyState.Done && state.question.model == it.id },
            earlier = state is ClassifyState.Done && state.question != asked(),
            waiting = if (measuring) R.string.benchmark_running else R.string.working,
        )
        if (scrollToAnswer && state is ClassifyState.Done) {
            scrollToAnswer = false
            (root as? ScrollView)?.let { it.afterLayout { it.smoothScrollTo(0, answer.top) } }
        }
    }

    private fun showModel(model: ModelOption?) {
        val name = model?.let(formats::name) ?: context.getString(
            if (workplace.models.ready) R.string.model_none else R.string.model_preparing,
        )
        val detail = model?.let(formats::detail)
            ?: context.getString(R.string.model_none_next).takeIf { workplace.models.ready }
        root.findViewById<TextView>(R.id.model_name).showText(name)
        root.findViewById<TextView>(R.id.model_detail).showText(detail)
        root.findViewById<View>(R.id.model_card).contentDescription = listOfNotNull(
            context.getString(R.string.model),
            name,
            detail,
            context.getString(R.string.model_choose),
        ).joinToString(". ")
    }

    private fun showFields(model: ModelOption?) {
        val pairs = model?.bundle?.readsPairs ?: true
        if (pairs == examplesForPairs) return
        examplesForPairs = pairs
        root.findViewById<View>(R.id.hypothesis_part).show(pairs)
        if (pairs) {
            premise.name(R.string.premise, R.string.premise_hint)
        } else {
            premise.name(R.string.text, R.string.text_hint)
        }
        examples.removeAllViews()
        val resources = context.resources
        val names = if (pairs) R.array.pair_example_names else R.array.text_example_names
        val first = if (pairs) R.array.pair_example_premises else R.array.text_examples
        val texts = resources.getStringArray(first)
        val others = resources.getStringArray(R.array.pair_example_hypotheses)
        resources.getStringArray(names).forEachIndexed { index, name ->
            examples.add<Button>(R.layout.chip_button).apply {
                text = name
                setOnClickListener {
                    premise.text = texts[index]
                    if (pairs) hypothesis.text = others[index]
                }
            }
        }
    }

    private fun onButton() {
        if (workplace.classification.state is ClassifyState.Running) {
            workplace.classification.cancel()
            return
        }
        val model = model ?: return
        val question = asked() ?: return
        scrollToAnswer = true
        workplace.classification.classify(model, question.text, question.pair)
    }

    /** The question as it is written now; null while a text is missing. */
    private fun asked() = model?.let {
        question(it, premise.text, hypothesis.text)
    }

    private fun field(label: Int, field: Int, clear: Int) = TextField(
        root.findViewById(label),
        root.findViewById(field),
        root.findViewById(clear),
    ) { render() }

    private companion object {
        const val CHOSEN_BUNDLE = "classify.bundle"
        const val CHOSEN_ARTIFACT = "classify.artifact"
        const val ANSWER = "classify.answer"
    }
}
