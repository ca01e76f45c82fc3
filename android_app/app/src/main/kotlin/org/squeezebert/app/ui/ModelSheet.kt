package org.squeezebert.app.ui

import android.app.Activity
import android.app.Dialog
import android.view.Gravity
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.RadioButton
import org.squeezebert.app.R
import org.squeezebert.app.work.ModelId
import org.squeezebert.app.work.ModelOption

/**
 * A sheet from the lower edge with the models to choose from; those that cannot run here say why.
 */
internal fun modelSheet(
    activity: Activity,
    models: List<ModelOption>,
    chosen: ModelId?,
    choose: (ModelId) -> Unit,
    import: () -> Unit,
): Dialog {
    val dialog = Dialog(activity, R.style.Theme_App_Sheet)
    val content = LayoutInflater.from(dialog.context).inflate(R.layout.model_sheet, null)
    val formats = Formats(activity)
    val list = content.findViewById<ViewGroup>(R.id.sheet_models)
    for (model in models) {
        list.add<RadioButton>(R.layout.model_choice).apply {
            text = activity.twoLines(
                formats.name(model),
                listOfNotNull(formats.detail(model), model.missing?.reason).joinToString("\n"),
            )
            isChecked = model.id == chosen
            isEnabled = model.missing == null
            setOnClickListener {
                dialog.dismiss()
                choose(model.id)
            }
        }
    }
    content.findViewById<View>(R.id.sheet_import).setOnClickListener {
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
    return dialog
}

/** Wider lines are tiring to read. */
private const val WIDEST_DP = 560
