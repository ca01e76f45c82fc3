package org.squeezebert.app.ui

import android.view.View
import android.widget.LinearLayout
import android.widget.TextView
import org.squeezebert.app.R
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.core.benchmark.Ratio
import org.squeezebert.core.benchmark.Row

/** A table that is its own bar chart: every model with its time, and how it does beside others. */
internal class BenchmarkResults(root: View, private val formats: Formats) {
    private val context = root.context
    private val card = root.findViewById<View>(R.id.benchmark_results)
    private val notice = root.findViewById<TextView>(R.id.benchmark_results_notice)
    private val list = root.findViewById<LinearLayout>(R.id.benchmark_rows)
    private var shown: BenchmarkState.Finished? = null

    /** Where the card begins on its page. */
    val top: Int get() = (card.parent as View).top + card.top

    /** Hides the card where there are no results. */
    fun show(results: BenchmarkState.Finished?) {
        card.show(results != null)
        if (results == null || results === shown) return
        shown = results
        notice.showText(
            listOfNotNull(
                R.string.benchmark_cancelled.takeIf { results.cancelled },
                R.string.benchmark_chart,
            ).joinToString("\n") { context.getString(it) },
        )
        list.removeAllViews()
        for ((case, rows) in results.rows.groupBy { it.length to it.threads }) {
            val heading = list.add<TextView>(R.layout.group_heading)
            heading.text = context.getString(
                R.string.benchmark_group,
                formats.number(case.first),
                formats.number(case.second),
            )
            val longest = rows.mapNotNull { it.medianNanos }.maxOrNull()
            rows.forEach { showRow(it, longest) }
        }
    }

    private fun showRow(row: Row, longest: Long?) {
        val view = list.add<View>(R.layout.benchmark_row)
        val median = row.medianNanos
        val time = median?.let(formats::milliseconds) ?: context.getString(R.string.unknown)
        val detail = detail(row)
        val ratio = when {
            row.failure != null -> null
            row.ratio != null -> row.ratio?.let(::spoken)
            row.role == "baseline" -> context.getString(R.string.benchmark_baseline)
            else -> null
        }
        view.findViewById<TextView>(R.id.row_name).text = formats.whole(row.label)
        view.findViewById<TextView>(R.id.row_median).text = time
        view.findViewById<TextView>(R.id.row_ratio).showText(ratio)
        view.findViewById<TextView>(R.id.row_detail).showText(detail)
        view.findViewById<ProportionView>(R.id.row_bar).apply {
            show(median != null)
            if (median != null && longest != null) {
                show(median.toDouble() / longest, strong = row.role != "baseline")
            }
        }
        view.contentDescription = listOfNotNull(row.label, time, ratio, detail).joinToString(". ")
    }

    private fun detail(row: Row): String? {
        row.failure?.let { return it }
        val slow = row.p90Nanos ?: return null
        val interval = row.ratio?.let { ratio ->
            val (low, high) = (ratio.low ?: return@let null) to (ratio.high ?: return@let null)
            context.getString(
                R.string.ratio_interval,
                formats.number(low, 2),
                formats.number(high, 2),
            )
        }
        return listOfNotNull(
            interval,
            context.getString(
                R.string.row_detail,
                formats.milliseconds(slow),
                formats.number(row.samples),
            ),
        ).joinToString("\n")
    }

    private fun spoken(ratio: Ratio): String = if (ratio.verdict == UNDECIDED) {
        context.getString(R.string.ratio_undecided)
    } else {
        context.getString(R.string.ratio_faster, formats.number(ratio.value, 2))
    }

    private companion object {
        /** The verdict of an interval around 1 (core's Ratio). */
        const val UNDECIDED = "undecided"
    }
}
