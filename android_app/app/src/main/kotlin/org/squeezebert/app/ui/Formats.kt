package org.squeezebert.app.ui

import android.content.Context
import android.text.BidiFormatter
import java.text.NumberFormat
import java.util.Locale
import org.squeezebert.app.R
import org.squeezebert.app.work.ModelOption

/** Numbers and names as the user's language writes them. */
internal class Formats(private val context: Context) {
    private val locale: Locale = context.resources.configuration.locales[0]

    /** [number] with so many [digits] behind the point. */
    fun number(number: Double, digits: Int = 0): String =
        NumberFormat.getNumberInstance(locale).apply {
            minimumFractionDigits = digits
            maximumFractionDigits = digits
        }.format(number)

    fun number(number: Int): String = number(number.toDouble())

    /** A proportion of 1 in per cent; one digit more near the ends, where it makes a difference. */
    fun percent(proportion: Double): String {
        val digits = if (proportion in NEAR_NOTHING..NEAR_ALL || proportion == 1.0) 0 else 1
        return percent(proportion, digits)
    }

    /** A proportion of 1 in per cent, with so many [digits] behind the point. */
    fun percent(proportion: Double, digits: Int): String =
        NumberFormat.getPercentInstance(locale).apply {
            minimumFractionDigits = digits
            maximumFractionDigits = digits
        }.format(proportion)

    /** Nanoseconds in milliseconds, with three digits that count. */
    fun milliseconds(nanos: Long): String {
        val milliseconds = nanos / NANOS_OF_A_MILLISECOND
        val digits = when {
            milliseconds >= 100 -> 0
            milliseconds >= 10 -> 1
            else -> 2
        }
        return context.getString(R.string.milliseconds, number(milliseconds, digits))
    }

    fun celsius(degrees: Double): String =
        context.getString(R.string.celsius, number(degrees, 1))

    /** Bytes in megabytes (10^6), or gigabytes above a thousand of them. */
    fun bytes(bytes: Long): String = if (bytes >= GIGABYTE) {
        context.getString(R.string.gigabytes, number(bytes / GIGABYTE.toDouble(), 1))
    } else {
        context.getString(R.string.megabytes, number(bytes / MEGABYTE, 1))
    }

    /** Left-to-right text, such as a path, that stays whole in a right-to-left line. */
    fun whole(text: String): String = BidiFormatter.getInstance(locale).unicodeWrap(text)

    /** The model's own name. */
    fun name(option: ModelOption): String = whole(option.bundle.name)

    /** What distinguishes models of one name: precision, engine and size. */
    fun detail(option: ModelOption): String = listOf(
        whole(option.artifact.precision),
        whole(option.engine?.name ?: option.artifact.target),
        whole(bytes(option.artifact.bytes)),
    ).joinToString(" · ")

    /** Name, precision and engine, for lines of text. */
    fun title(option: ModelOption): String =
        whole("${option.bundle.name} ${option.artifact.precision}")

    private companion object {
        const val NANOS_OF_A_MILLISECOND = 1e6
        const val MEGABYTE = 1e6
        const val GIGABYTE = 1_000_000_000L
        const val NEAR_NOTHING = 0.1
        const val NEAR_ALL = 0.99
    }
}
