package org.squeezebert.app.ui

import android.app.Activity
import android.app.Dialog
import android.view.Gravity
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.RadioButton
import org.squeezebert.app.R
import org.squeezebert.app.Workplace
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.app.work.ImportState
import org.squeezebert.app.work.ModelId
import org.squeezebert.app.work.ModelOption

/**
 * A sheet from the lower edge with the models to choose from; those that cannot run here say why.
 *
 * @param chosen the model that classifies now.
 * @param choose hears of another one.
 * @param import lets the user pick a zip file.
 */
internal class ModelSheet(
    private val activity: Activity,
    private val workplace: Workplace,
    private val chosen: () -> ModelId?,
    private val choose: (ModelId) -> Unit,
    import: () -> Unit,
) {
    private val dialog = Dialog(activity, R.style.Theme_App_Sheet)
    private val content = LayoutInflater.from(dialog.context).inflate(R.layout.model_sheet, null)
    private val list = content.findViewById<ViewGroup>(R.id.sheet_models)
    private val importButton = content.findViewById<View>(R.id.sheet_import)
    private val formats = Formats(activity)
    private var shown: List<ModelOption>? = null

    val isShowing: Boolean get() = dialog.isShowing

    init {
        importButton.setOnClickListener {
            dialog.dismiss()
            import()
        }
        dialog.setContentView(content)
        dialog.window?.apply {
            val screen = activity.resources.displayMetrics.widthPixels
            setLayout(minOf(screen, activity.dp(WIDEST_DP)), ViewGroup.LayoutParams.WRAP_CONTENT)
            setGravity(Gravity.BOTTOM or Gravity.CENTER_HORIZONTAL)
            setTitle(activity.getString(R.string.model_choose))
        }
        render()
    }

    fun show() = dialog.show()

    fun dismiss() = dialog.dismiss()

    /** Shows what the workplace holds now: after a start the models are listed only later. */
    fun render() {
        importButton.isEnabled = workplace.models.importing.state !is ImportState.Running &&
            workplace.benchmarking.state !is BenchmarkState.Running
        val options = workplace.models.options
        if (options === shown) return
        shown = options
        list.removeAllViews()
        for (model in options.filter { it.classifies }) {
            list.add<RadioButton>(R.layout.model_choice).apply {
                text = activity.twoLines(
                    formats.name(model),
                    listOfNotNull(formats.detail(model), model.missing?.reason).joinToString("\n"),
                )
                isChecked = model.id == chosen()
                isEnabled = model.missing == null
                setOnClickListener {
                    dialog.dismiss()
                    choose(model.id)
                }
            }
        }
    }

    private companion object {
        /** Wider lines are tiring to read. */
        const val WIDEST_DP = 560
    }
}
