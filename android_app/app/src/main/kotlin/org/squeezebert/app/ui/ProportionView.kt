package org.squeezebert.app.ui

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.util.AttributeSet
import android.view.View
import org.squeezebert.app.R

/** A bar that is filled from the side where lines begin. */
class ProportionView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private val track =
        Paint(Paint.ANTI_ALIAS_FLAG).apply { color = context.getColor(R.color.track) }
    private val fill = Paint(Paint.ANTI_ALIAS_FLAG)
    private var proportion = 0f

    /** Fills [proportion] (0 to 1) of the bar; [strong] in the accent's colour. */
    fun show(proportion: Double, strong: Boolean) {
        this.proportion = proportion.coerceIn(0.0, 1.0).toFloat()
        fill.color = context.getColor(if (strong) R.color.accent else R.color.bar_quiet)
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        val corner = height / 2f
        canvas.drawRoundRect(0f, 0f, width.toFloat(), height.toFloat(), corner, corner, track)
        // A point stays to be seen of what is almost nothing.
        val filled = (width * proportion).coerceAtLeast(height.toFloat())
        val left = if (layoutDirection == LAYOUT_DIRECTION_RTL) width - filled else 0f
        canvas.drawRoundRect(left, 0f, left + filled, height.toFloat(), corner, corner, fill)
    }
}
