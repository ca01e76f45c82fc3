package org.squeezebert.app.ui

import android.os.Bundle
import android.view.View
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.ScrollView
import android.widget.TextView
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.doubleOrNull
import kotlinx.serialization.json.intOrNull
import kotlinx.serialization.json.jsonPrimitive
import org.squeezebert.app.R
import org.squeezebert.app.Workplace
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.app.work.ImportState
import org.squeezebert.core.benchmark.Progress
import org.squeezebert.core.benchmark.Settings

/**
 * What to measure, how far it is, and what came out.
 *
 * @param settings how a run measures.
 * @param share hands the results to another app.
 */
internal class BenchmarkScreen(
    private val root: View,
    private val workplace: Workplace,
    settings: () -> Settings,
    share: () -> Unit,
) : Screen {
    private val context = root.context
    private val formats = Formats(context)
    private val setup = BenchmarkSetup(root, workplace, settings)
    private val results = BenchmarkResults(root, formats)
    private val running = root.findViewById<View>(R.id.benchmark_running)
    private val bar = root.findViewById<ProgressBar>(R.id.benchmark_bar)
    private val conditions = root.findViewById<LinearLayout>(R.id.benchmark_conditions)
    private val cancel = root.findViewById<View>(R.id.benchmark_cancel)
    private val resume = root.findViewById<View>(R.id.benchmark_continue)
    private val error = ErrorCard(
        root.findViewById(R.id.benchmark_error),
        root.findViewById(R.id.benchmark_error_reason),
        root.findViewById(R.id.benchmark_error_next),
    )
    private var before: BenchmarkState = BenchmarkState.Idle
    private var shownProgress: Progress? = null

    init {
        val benchmarking = workplace.benchmarking
        cancel.setOnClickListener { benchmarking.cancel() }
        resume.setOnClickListener {
            benchmarking.resume(context.getString(R.string.benchmark_continue))
        }
        val forget = View.OnClickListener { benchmarking.discard() }
        root.findViewById<View>(R.id.benchmark_discard).setOnClickListener(forget)
        root.findViewById<View>(R.id.benchmark_forget).setOnClickListener(forget)
        root.findViewById<View>(R.id.benchmark_share).setOnClickListener { share() }
    }

    override fun save(state: Bundle) = setup.save(state)

    override fun restore(state: Bundle) = setup.restore(state)

    override fun render() {
        setup.render()
        val state = workplace.benchmarking.state
        error.show((state as? BenchmarkState.Failed)?.error)
        running.show(state is BenchmarkState.Running)
        root.findViewById<View>(R.id.benchmark_interrupted)
            .show(state == BenchmarkState.Interrupted)
        resume.isEnabled = workplace.models.importing.state !is ImportState.Running
        root.findViewById<View>(R.id.benchmark_setup).show(
            state !is BenchmarkState.Running || root !is ScrollView,
        )
        if (state is BenchmarkState.Running) showRunning(state)
        results.show(state as? BenchmarkState.Finished)
        // On one column, what is new would be below the screen, or far above.
        if (state::class != before::class && root is ScrollView) {
            val finished = state is BenchmarkState.Finished && before is BenchmarkState.Running
            root.afterLayout { root.smoothScrollTo(0, if (finished) results.top else 0) }
        }
        before = state
    }

    private fun showRunning(state: BenchmarkState.Running) {
        val progress = state.progress
        text(R.id.benchmark_running_title).showText(state.title)
        text(R.id.benchmark_running_text).showText(
            when {
                state.cancelling -> context.getString(R.string.benchmark_cancelling)
                progress == null -> context.getString(R.string.benchmark_preparing)
                else -> progress.text
            },
        )
        cancel.isEnabled = !state.cancelling
        bar.max = progress?.total?.coerceAtLeast(1) ?: 1
        bar.progress = progress?.done ?: 0
        text(R.id.benchmark_count).showText(
            progress?.let {
                context.getString(
                    R.string.benchmark_progress,
                    formats.number(it.done),
                    formats.number(it.total),
                )
            },
        )
        if (progress == null || progress === shownProgress) return
        shownProgress = progress
        showConditions(progress)
    }

    private fun showConditions(progress: Progress) {
        val unknown = context.getString(R.string.unknown)
        val told = progress.conditions
        val names = context.resources.getStringArray(R.array.thermal_names)
        val status = (told?.get("thermal_status") as? JsonPrimitive)?.intOrNull
        conditions.removeAllViews()
        conditions.addFact(
            context.getString(R.string.temperature),
            told?.let(::hottest)?.let(formats::celsius) ?: unknown,
        )
        conditions.addFact(
            context.getString(R.string.thermal),
            status?.let(names::getOrNull) ?: unknown,
        )
        conditions.addFact(
            context.getString(R.string.slowed),
            progress.slowedDown ?: context.getString(R.string.slowed_not),
        )
    }

    /** The battery's temperature, or that of the hottest sensor where the battery has none. */
    private fun hottest(told: JsonObject): Double? =
        (told["battery_celsius"] as? JsonPrimitive)?.doubleOrNull
            ?: (told["celsius"] as? JsonObject)?.values
                ?.mapNotNull { it.jsonPrimitive.doubleOrNull }?.maxOrNull()

    private fun text(id: Int) = root.findViewById<TextView>(id)
}
