package org.squeezebert.app.ui

import android.app.Activity
import android.app.ActivityManager
import android.content.Context
import android.os.Build
import android.view.View
import android.view.ViewGroup
import android.widget.LinearLayout
import android.widget.TextView
import org.squeezebert.app.R
import org.squeezebert.app.Workplace
import org.squeezebert.app.engines.PackedEngine
import org.squeezebert.app.engines.packedEngines
import org.squeezebert.core.engine.Availability

/** What does not change while the app runs: its version, its engines, the device. */
internal class AppFacts(
    private val activity: Activity,
    private val workplace: Workplace,
    private val formats: Formats,
) {
    /** The app's name and version. */
    val version: String
        get() {
            val found = activity.packageManager.getPackageInfo(activity.packageName, 0).versionName
            val name = activity.getString(R.string.app_name)
            return "$name · ${activity.getString(R.string.about_version, found.orEmpty())}"
        }

    /** Every engine that the app knows, with what the build says of its part in this app. */
    fun showEngines(list: ViewGroup) {
        val parts = packedEngines(activity.assets)
        list.removeAllViews()
        for ((engine, found) in workplace.models.engines) {
            val view = list.add<View>(R.layout.engine)
            val name = view.findViewById<TextView>(R.id.engine_name)
            val missing = view.findViewById<TextView>(R.id.engine_missing)
            when (found) {
                is Availability.Available -> {
                    name.text = formats.whole("${engine.name} ${found.version}")
                    missing.showText(null)
                }
                is Availability.Missing -> {
                    name.text = formats.whole(engine.name)
                    missing.showText("${found.why.reason} ${found.why.nextStep}")
                }
            }
            val facts = view.findViewById<LinearLayout>(R.id.engine_facts)
            parts.filter { it.target == engine.target }.forEach { showPart(it, facts) }
        }
    }

    fun showDevice(list: LinearLayout) {
        val memory = ActivityManager.MemoryInfo()
        val activities = activity.getSystemService(Context.ACTIVITY_SERVICE) as ActivityManager
        activities.getMemoryInfo(memory)
        val facts = listOf(
            R.string.about_device_model to formats.whole("${Build.MANUFACTURER} ${Build.MODEL}"),
            R.string.about_android to
                formats.whole("${Build.VERSION.RELEASE} (API ${Build.VERSION.SDK_INT})"),
            R.string.about_processor to formats.whole(Build.SUPPORTED_ABIS.joinToString(", ")),
            R.string.about_cores to formats.number(Runtime.getRuntime().availableProcessors()),
            R.string.about_memory to formats.bytes(memory.totalMem),
            R.string.about_threads to formats.number(workplace.threads),
        )
        for ((name, value) in facts) list.addFact(activity.getString(name), value)
    }

    private fun showPart(part: PackedEngine, facts: LinearLayout) {
        val shown = listOf(
            R.string.about_engine_source to part.source,
            R.string.about_engine_abis to part.abis.joinToString(", "),
            R.string.about_engine_hash to part.sha256,
        )
        for ((name, value) in shown) {
            if (value.isNullOrEmpty()) continue
            facts.addFact(activity.getString(name), formats.whole(value))
        }
    }
}
