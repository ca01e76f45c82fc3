package org.squeezebert.app.ui

import android.content.Context
import android.util.AttributeSet
import android.view.View
import android.view.ViewGroup
import kotlin.math.max

/** Children in lines, as words in a text; from the right where the language runs from there. */
class FlowLayout(context: Context, attributes: AttributeSet?) : ViewGroup(context, attributes) {
    private val gap = context.dp(GAP_DP)

    override fun onMeasure(widthSpec: Int, heightSpec: Int) {
        val available = MeasureSpec.getSize(widthSpec)
        val childWidth = MeasureSpec.makeMeasureSpec(available, MeasureSpec.AT_MOST)
        val childHeight = MeasureSpec.makeMeasureSpec(0, MeasureSpec.UNSPECIFIED)
        shown().forEach { it.measure(childWidth, childHeight) }
        val height = lines(available).sumOf { line -> line.maxOf { it.measuredHeight } }
        setMeasuredDimension(available, resolveSize(height, heightSpec))
    }

    override fun onLayout(changed: Boolean, left: Int, top: Int, right: Int, bottom: Int) {
        var y = 0
        for (line in lines(width)) {
            var x = 0
            for (child in line) {
                val start = if (isRightToLeft()) width - x - child.measuredWidth else x
                child.layout(
                    start,
                    y,
                    start + child.measuredWidth,
                    y + child.measuredHeight,
                )
                x += child.measuredWidth + gap
            }
            y += line.maxOf { it.measuredHeight }
        }
    }

    private fun lines(available: Int): List<List<View>> {
        val lines = mutableListOf<MutableList<View>>()
        var used = 0
        for (child in shown()) {
            if (lines.isEmpty() || used + child.measuredWidth > available) {
                lines += mutableListOf<View>()
                used = 0
            }
            lines.last() += child
            used += child.measuredWidth + gap
        }
        return lines
    }

    private companion object {
        const val GAP_DP = 8
    }
}

/**
 * Two children, a name and a value: at both ends of a line where they fit, otherwise the second
 * below the first. So nothing is cut off with large letters or long words.
 */
class FactLayout(context: Context, attributes: AttributeSet?) : ViewGroup(context, attributes) {
    private val gap = context.dp(GAP_DP)
    private var oneLine = true

    override fun onMeasure(widthSpec: Int, heightSpec: Int) {
        val available = MeasureSpec.getSize(widthSpec) - paddingLeft - paddingRight
        val width = MeasureSpec.makeMeasureSpec(available, MeasureSpec.AT_MOST)
        val height = MeasureSpec.makeMeasureSpec(0, MeasureSpec.UNSPECIFIED)
        val children = shown()
        children.forEach { it.measure(width, height) }
        oneLine = children.sumOf { it.measuredWidth } + gap * (children.size - 1) <= available
        val inside = if (oneLine) {
            val baseline = children.maxOfOrNull { it.baseline } ?: 0
            children.maxOfOrNull { baseline - it.baseline + it.measuredHeight } ?: 0
        } else {
            children.sumOf { it.measuredHeight }
        }
        setMeasuredDimension(
            MeasureSpec.getSize(widthSpec),
            resolveSize(inside + paddingTop + paddingBottom, heightSpec),
        )
    }

    override fun onLayout(changed: Boolean, left: Int, top: Int, right: Int, bottom: Int) {
        val children = shown()
        val baseline = children.maxOfOrNull { it.baseline } ?: 0
        var y = paddingTop
        children.forEachIndexed { index, child ->
            val atEnd = oneLine && index > 0
            val start = if (atEnd == isRightToLeft()) {
                paddingLeft
            } else {
                width - paddingRight - child.measuredWidth
            }
            val down = if (oneLine) paddingTop + baseline - child.baseline else y
            child.layout(start, down, start + child.measuredWidth, down + child.measuredHeight)
            y = max(y, down + child.measuredHeight)
        }
    }

    private companion object {
        const val GAP_DP = 16
    }
}

private fun ViewGroup.shown(): List<View> =
    (0 until childCount).map(::getChildAt).filter { it.visibility != View.GONE }

private fun View.isRightToLeft() = layoutDirection == View.LAYOUT_DIRECTION_RTL
