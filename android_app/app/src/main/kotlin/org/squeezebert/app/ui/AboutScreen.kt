package org.squeezebert.app.ui

import android.app.Activity
import android.app.AlertDialog
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView
import org.squeezebert.app.R
import org.squeezebert.app.Workplace
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.app.work.ImportState
import org.squeezebert.app.work.ModelOption
import org.squeezebert.core.bundle.Bundle
import org.squeezebert.core.bundle.Installed

/**
 * The installed bundles, the card of the model that classifies, engines, and the device.
 *
 * @param chosen the model of the Classify screen.
 * @param import lets the user pick a zip file.
 */
internal class AboutScreen(
    private val activity: Activity,
    private val root: View,
    private val workplace: Workplace,
    private val chosen: () -> ModelOption?,
    private val import: () -> Unit,
) : Screen {
    private val formats = Formats(activity)
    private val bundles = root.findViewById<ViewGroup>(R.id.about_bundles)
    private val importButton = root.findViewById<Button>(R.id.about_import)
    private val error = ErrorCard(
        root.findViewById(R.id.about_error),
        root.findViewById(R.id.about_error_reason),
        root.findViewById(R.id.about_error_next),
    )
    private val facts = AppFacts(activity, workplace, formats)
    private var shownBundles: List<Installed>? = null
    private var shownCard: Bundle? = null

    init {
        importButton.setOnClickListener { onImport() }
        root.findViewById<TextView>(R.id.about_version).text = facts.version
        facts.showDevice(root.findViewById(R.id.about_device))
    }

    override fun render() {
        val importing = workplace.models.importing.state
        val measuring = workplace.benchmarking.state is BenchmarkState.Running
        val running = importing as? ImportState.Running
        importButton.setText(if (running != null) R.string.cancel else R.string.about_import)
        importButton.isEnabled = if (running != null) !running.cancelling else !measuring
        error.show((importing as? ImportState.Failed)?.error ?: workplace.models.problem)
        root.findViewById<TextView>(R.id.about_import_state).showText(
            when (importing) {
                is ImportState.Running -> importing(importing)
                is ImportState.Done -> activity.getString(
                    if (importing.replaced) R.string.about_replaced else R.string.about_imported,
                    formats.whole(importing.name),
                )
                else -> activity.getString(R.string.model_none).takeIf {
                    workplace.models.ready && workplace.models.installed.isEmpty()
                }
            },
        )
        showBundles()
        showCard(chosen()?.bundle)
    }

    private fun onImport() {
        val importing = workplace.models.importing
        if (importing.state is ImportState.Running) importing.cancel() else import()
    }

    private fun importing(running: ImportState.Running): String {
        if (running.cancelling) return activity.getString(R.string.benchmark_cancelling)
        val told = listOfNotNull(running.name?.let(formats::whole), formats.bytes(running.bytes))
        return activity.getString(R.string.about_importing, told.joinToString(" · "))
    }

    private fun showBundles() {
        val installed = workplace.models.installed
        if (installed === shownBundles) return
        shownBundles = installed
        facts.showEngines(root.findViewById(R.id.about_engines))
        bundles.removeAllViews()
        for (one in installed) {
            val view = bundles.add<View>(R.layout.bundle)
            val name = one.bundle?.name ?: one.id
            view.findViewById<TextView>(R.id.bundle_name).text = formats.whole(name)
            view.findViewById<TextView>(R.id.bundle_detail).text = detail(one)
            view.findViewById<View>(R.id.bundle_remove).apply {
                contentDescription = activity.getString(R.string.about_remove, name)
                setOnClickListener { askToRemove(one.id, name) }
            }
        }
    }

    private fun detail(one: Installed): String {
        one.problem?.let { return "${it.reason} ${it.nextStep}" }
        return one.bundle?.artifacts.orEmpty().joinToString("\n") {
            "${formats.whole(it.path)} · ${formats.whole(formats.bytes(it.bytes))}"
        }
    }

    private fun askToRemove(id: String, name: String) {
        if (workplace.benchmarking.state is BenchmarkState.Running) return
        AlertDialog.Builder(activity)
            .setTitle(activity.getString(R.string.about_remove, name))
            .setMessage(R.string.about_remove_ask)
            .setPositiveButton(R.string.about_remove_yes) { _, _ -> workplace.remove(id) }
            .setNegativeButton(R.string.cancel, null)
            .show()
    }

    private fun showCard(bundle: Bundle?) {
        root.findViewById<View>(R.id.about_card).show(bundle != null)
        if (bundle == null || bundle === shownCard) return
        shownCard = bundle
        root.findViewById<TextView>(R.id.about_card_name).text = formats.whole(bundle.name)
        val list = root.findViewById<LinearLayout>(R.id.about_card_facts)
        list.removeAllViews()
        for ((name, value) in modelCard(activity, formats, bundle)) list.addFact(name, value)
    }
}
