package org.squeezebert.app.ui

import android.content.Context
import android.text.SpannableStringBuilder
import android.text.Spanned
import android.text.style.TextAppearanceSpan
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.view.ViewTreeObserver
import android.widget.LinearLayout
import android.widget.TextView
import kotlin.math.roundToInt
import org.squeezebert.app.R
import org.squeezebert.core.UserError

/** Device-independent pixels in pixels. */
internal fun Context.dp(count: Int): Int = (count * resources.displayMetrics.density).roundToInt()

/** Visible or not there at all. */
internal fun View.show(visible: Boolean) {
    visibility = if (visible) View.VISIBLE else View.GONE
}

/** Runs [action] once what is shown now has its place. */
internal fun View.afterLayout(action: () -> Unit) {
    viewTreeObserver.addOnGlobalLayoutListener(
        object : ViewTreeObserver.OnGlobalLayoutListener {
            override fun onGlobalLayout() {
                viewTreeObserver.removeOnGlobalLayoutListener(this)
                action()
            }
        },
    )
    requestLayout()
}

/** Shows [content]; nothing at all where it is null. */
internal fun TextView.showText(content: CharSequence?) {
    show(content != null)
    // Setting the same text again would make TalkBack read it again.
    if (content != null && content.toString() != text.toString()) text = content
}

/** A new child of this group, made of [layout]. */
internal fun <T : View> ViewGroup.add(layout: Int): T {
    val child = LayoutInflater.from(context).inflate(layout, this, false)
    addView(child)
    @Suppress("UNCHECKED_CAST")
    return child as T
}

/** A line of a name and its value, read as one by TalkBack. */
internal fun LinearLayout.addFact(name: String, value: CharSequence) {
    val line = add<View>(R.layout.fact)
    line.findViewById<TextView>(R.id.fact_name).text = name
    line.findViewById<TextView>(R.id.fact_value).text = value
    line.contentDescription = "$name: $value"
}

/** A name, and smaller below it what is to be known of it. */
internal fun Context.twoLines(name: String, detail: String): CharSequence {
    val text = SpannableStringBuilder()
    val only = Spanned.SPAN_EXCLUSIVE_EXCLUSIVE
    text.append(name, TextAppearanceSpan(this, R.style.Text_Strong), only)
    text.append("\n")
    text.append(detail, TextAppearanceSpan(this, R.style.Text_Small), only)
    return text
}

/** A card for [UserError]s. */
internal class ErrorCard(
    private val card: View,
    private val reason: TextView,
    private val nextStep: TextView,
) {
    /** Hides the card where [error] is null. */
    fun show(error: UserError?) {
        card.show(error != null)
        if (error != null) {
            reason.showText(error.reason)
            nextStep.showText(error.nextStep)
        }
    }
}
