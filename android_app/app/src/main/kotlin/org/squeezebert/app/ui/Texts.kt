package org.squeezebert.app.ui

import android.text.Editable
import android.text.InputFilter
import android.text.Spanned
import android.text.TextWatcher
import android.view.View
import android.widget.EditText
import android.widget.TextView
import org.squeezebert.app.R

/** A field for a text with its label and a button that empties it. */
internal class TextField(
    private val label: TextView,
    private val input: EditText,
    private val clear: View,
    changed: () -> Unit,
) {
    /** What is written in it. */
    var text: String
        get() = input.text.toString()
        set(value) {
            input.setText(value)
            input.setSelection(input.length())
        }

    init {
        input.filters = arrayOf(LongestText(input))
        input.addTextChangedListener(Watcher {
            clear.visibility = if (input.length() == 0) View.INVISIBLE else View.VISIBLE
            changed()
        })
        clear.visibility = View.INVISIBLE
        clear.setOnClickListener { input.text.clear() }
    }

    /** Calls it otherwise. */
    fun name(label: Int, hint: Int) {
        this.label.setText(label)
        input.setHint(hint)
    }
}

/**
 * Lets no more than [MOST_CHARACTERS] in, and says so: a screen with megabytes of text would hang,
 * and no model reads more.
 */
private class LongestText(private val field: EditText) : InputFilter {
    private val length = InputFilter.LengthFilter(MOST_CHARACTERS)

    override fun filter(
        source: CharSequence,
        start: Int,
        end: Int,
        target: Spanned,
        targetStart: Int,
        targetEnd: Int,
    ): CharSequence? {
        val kept = length.filter(source, start, end, target, targetStart, targetEnd)
        if (kept != null) {
            field.error = field.context.getString(
                R.string.text_cut,
                Formats(field.context).number(MOST_CHARACTERS),
            )
        }
        return kept
    }
}

/** Far more than the longest model reads (512 tokens), and little enough for the saved state. */
private const val MOST_CHARACTERS = 20_000

private class Watcher(private val changed: () -> Unit) : TextWatcher {
    override fun beforeTextChanged(text: CharSequence, start: Int, count: Int, after: Int) = Unit

    override fun onTextChanged(text: CharSequence, start: Int, before: Int, count: Int) = Unit

    override fun afterTextChanged(text: Editable) = changed()
}
