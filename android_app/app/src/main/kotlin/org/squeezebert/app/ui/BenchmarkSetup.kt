package org.squeezebert.app.ui

import android.os.Bundle
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.CheckBox
import android.widget.CompoundButton
import android.widget.RadioButton
import android.widget.TextView
import org.squeezebert.app.R
import org.squeezebert.app.Workplace
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.app.work.ClassifyState
import org.squeezebert.app.work.ImportState
import org.squeezebert.app.work.ModelId
import org.squeezebert.app.work.ModelOption
import org.squeezebert.app.work.attempt
import org.squeezebert.core.UserError
import org.squeezebert.core.benchmark.Choice
import org.squeezebert.core.benchmark.Settings
import org.squeezebert.core.benchmark.planFor
import org.squeezebert.core.bundle.ModelFacts

/** What is to be measured: models, lengths, threads. A bert-base-uncased is the baseline. */
internal class BenchmarkSetup(
    private val root: View,
    private val workplace: Workplace,
    private val settings: () -> Settings,
) {
    private val context = root.context
    private val formats = Formats(context)
    private val list = root.findViewById<ViewGroup>(R.id.benchmark_models)
    private val lengthChips = root.findViewById<ViewGroup>(R.id.benchmark_lengths)
    private val threadChips = root.findViewById<ViewGroup>(R.id.benchmark_threads)
    private val baseline = root.findViewById<TextView>(R.id.benchmark_baseline)
    private val start = root.findViewById<Button>(R.id.benchmark_start)
    private val whyNot = root.findViewById<TextView>(R.id.benchmark_why_not)
    private val chosen = linkedSetOf<ModelId>()
    private val lengths = sortedSetOf(FIRST_LENGTH)
    private var threads = 1
    private var shown: List<ModelOption>? = null

    init {
        for (length in LENGTHS) {
            lengthChips.add<CheckBox>(R.layout.chip_check).apply {
                text = formats.number(length)
                setOnClickListener {
                    if (isChecked) lengths += length else lengths -= length
                    render()
                }
            }
        }
        for (count in listOf(1, workplace.threads).distinct()) {
            threadChips.add<RadioButton>(R.layout.chip_radio).apply {
                text = formats.number(count)
                tag = count
                setOnClickListener {
                    threads = count
                    render()
                }
            }
        }
        start.setOnClickListener { onStart() }
    }

    fun render() {
        val options = workplace.models.options
        if (options !== shown) {
            shown = options
            showModels(options)
        }
        val measured = measured()
        val limit = limit(measured)
        LENGTHS.forEachIndexed { index, length ->
            (lengthChips.getChildAt(index) as CompoundButton).apply {
                isEnabled = length <= limit
                isChecked = length in lengths && isEnabled
            }
        }
        threadChips.children().forEach { (it as CompoundButton).isChecked = it.tag == threads }
        baseline.showText(
            baseline(measured)?.let { found ->
                listOfNotNull(
                    context.getString(R.string.benchmark_baseline_of, formats.title(found)),
                    context.getString(R.string.benchmark_no_bert)
                        .takeIf { !found.bundle.model.isBertBase() },
                ).joinToString("\n")
            },
        )
        val reason = when {
            workplace.benchmarking.state is BenchmarkState.Running -> R.string.benchmark_running
            workplace.classification.state is ClassifyState.Running ->
                R.string.benchmark_classifying
            workplace.models.importing.state is ImportState.Running -> R.string.benchmark_importing
            measured.isEmpty() || lengths.none { it <= limit } -> R.string.benchmark_nothing
            else -> null
        }
        start.isEnabled = reason == null
        whyNot.showText(reason?.let(context::getString))
    }

    fun save(state: Bundle) {
        state.putStringArray(BUNDLES, chosen.map { it.bundle }.toTypedArray())
        state.putStringArray(ARTIFACTS, chosen.map { it.artifact }.toTypedArray())
        state.putIntArray(SAVED_LENGTHS, lengths.toIntArray())
        state.putInt(THREADS, threads)
    }

    fun restore(state: Bundle) {
        val artifacts = state.getStringArray(ARTIFACTS) ?: return
        chosen += state.getStringArray(BUNDLES).orEmpty().zip(artifacts, ::ModelId)
        lengths.clear()
        lengths += state.getIntArray(SAVED_LENGTHS)?.toList().orEmpty()
        threads = state.getInt(THREADS, 1)
    }

    private fun showModels(options: List<ModelOption>) {
        root.findViewById<View>(R.id.benchmark_no_models)
            .show(options.isEmpty() && workplace.models.ready)
        list.removeAllViews()
        for (option in options) {
            list.add<CheckBox>(R.layout.model_check).apply {
                text = context.twoLines(
                    formats.name(option),
                    listOfNotNull(formats.detail(option), option.missing?.reason)
                        .joinToString("\n"),
                )
                isEnabled = option.missing == null
                isChecked = option.id in chosen && isEnabled
                setOnClickListener {
                    if (isChecked) chosen += option.id else chosen -= option.id
                    render()
                }
            }
        }
    }

    private fun onStart() {
        val measured = measured()
        val base = baseline(measured)
        val choices = measured.sortedBy { it !== base }
            .map { Choice(it.bundle, it.artifact, it === base) }
        val limit = limit(measured)
        attempt { planFor(choices, lengths.filter { it <= limit }, threads, settings()) }.fold(
            { plan ->
                val title = measured.joinToString(", ") { formats.title(it) }
                workplace.benchmarking.start(title, plan)
            },
            { workplace.benchmarking.refuse(it as UserError) },
        )
    }

    /** The chosen models that can run, in the order of the list. */
    private fun measured() = usable().filter { it.id in chosen }

    private fun usable() = workplace.models.options.filter { it.missing == null }

    /** The longest text that all of [measured] read; while none is chosen, that any model reads. */
    private fun limit(measured: List<ModelOption>): Int =
        measured.minOfOrNull { it.bundle.model.maxPositions }
            ?: usable().maxOfOrNull { it.bundle.model.maxPositions }
            ?: LENGTHS.last()

    private fun baseline(measured: List<ModelOption>) =
        measured.firstOrNull { it.bundle.model.isBertBase() } ?: measured.firstOrNull()

    private companion object {
        val LENGTHS = listOf(32, 64, 128, 256, 512)
        const val FIRST_LENGTH = 128
        const val BUNDLES = "benchmark.bundles"
        const val ARTIFACTS = "benchmark.artifacts"
        const val SAVED_LENGTHS = "benchmark.lengths"
        const val THREADS = "benchmark.threads"
    }
}

/** Whether it has the sizes of bert-base-uncased, which are what its speed depends on. */
internal fun ModelFacts.isBertBase() =
    family == "bert" && layers == BERT_BASE_LAYERS && hiddenSize == BERT_BASE_WIDTH

// From the model's config.json: num_hidden_layers and hidden_size.
private const val BERT_BASE_LAYERS = 12
private const val BERT_BASE_WIDTH = 768

private fun ViewGroup.children() = (0 until childCount).map(::getChildAt)
