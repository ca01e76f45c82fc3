package org.squeezebert.app.ui

import android.app.Activity
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.os.Looper
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import java.io.InputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.squeezebert.app.MainActivity
import org.squeezebert.app.R
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.app.work.ClassifyState
import org.squeezebert.app.work.ImportState

/** The real Activity, and what a user does with it. */
internal class Stage(state: Bundle? = null, intent: Intent? = null) {
    val application = RuntimeEnvironment.getApplication() as TestApplication
    private var controller: ActivityController<MainActivity> =
        Robolectric.buildActivity(MainActivity::class.java, intent)
            .apply { if (state == null) setup() else setup(state) }

    val activity: MainActivity get() = controller.get()
    val workplace get() = application.workplace

    init {
        waitFor("the list of models") { workplace.models.ready }
    }

    fun <T : View> view(id: Int): T = activity.findViewById(id)

    fun text(id: Int) = view<TextView>(id).text.toString()

    /** Whether the view and all around it is shown. */
    fun shows(id: Int) = view<View>(id).isShown

    fun tap(id: Int) {
        assertTrue("enabled and shown", view<View>(id).isEnabled && shows(id))
        view<View>(id).performClick()
        settle()
    }

    /** Taps the example of the Classify screen. */
    fun tapExample(index: Int) {
        view<ViewGroup>(R.id.examples).getChildAt(index).performClick()
        settle()
    }

    fun type(id: Int, text: String) {
        view<TextView>(id).text = text
        settle()
    }

    fun classify(): ClassifyState {
        tap(R.id.classify_button)
        waitFor("an answer") { workplace.classification.state !is ClassifyState.Running }
        return workplace.classification.state
    }

    /** Measures the models of these places among those that can be measured. */
    fun measure(vararg models: Int) {
        startMeasuring(*models)
        waitForBenchmark()
    }

    fun startMeasuring(vararg models: Int) {
        tap(R.id.tab_benchmark)
        val list = view<ViewGroup>(R.id.benchmark_models)
        val usable = (0 until list.childCount).map(list::getChildAt).filter(View::isEnabled)
        models.forEach { usable[it].performClick() }
        tap(R.id.benchmark_start)
    }

    fun waitForBenchmark() =
        waitFor("the benchmark") { workplace.benchmarking.state !is BenchmarkState.Running }

    /** Picks a file whose content its owner gives by [open]. */
    fun startImport(open: () -> InputStream) {
        tap(R.id.tab_about)
        tap(R.id.about_import)
        val file = Uri.parse("content://files/nli.zip")
        shadowOf(application.contentResolver).registerInputStreamSupplier(file, open)
        val asked = shadowOf(activity).nextStartedActivityForResult.intent
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.action)
        shadowOf(activity).receiveResult(asked, Activity.RESULT_OK, Intent().setData(file))
        settle()
    }

    fun waitForImport() =
        waitFor("the import") { workplace.models.importing.state !is ImportState.Running }

    /** Another size, language or letters; the Activity is made anew, as on a phone. */
    fun become(qualifiers: String) {
        RuntimeEnvironment.setQualifiers(qualifiers)
        controller.configurationChange(RuntimeEnvironment.getApplication().resources.configuration)
        // The new Activity's window is shown by the system on a phone.
        if (!activity.window.decorView.isAttachedToWindow) controller.visible()
        settle()
    }

    /** Ends the process in the background, and comes back to the app. */
    fun dieAndReturn() {
        val state = Bundle()
        controller.pause().stop().saveInstanceState(state).destroy()
        application.dieAndReturn()
        controller = Robolectric.buildActivity(MainActivity::class.java).setup(state)
        waitFor("the list of models") { workplace.models.ready }
    }

    /** Lets the main thread work until [condition] holds. */
    fun waitFor(what: String, condition: () -> Boolean) {
        repeat(MOST_POLLS) {
            settle()
            if (condition()) return
            Thread.sleep(POLL_MILLIS)
        }
        throw AssertionError("$what never came")
    }

    fun settle() = shadowOf(Looper.getMainLooper()).idle()

    private companion object {
        const val MOST_POLLS = 6_000
        const val POLL_MILLIS = 10L
    }
}

/** This view and all below it that are shown. */
internal fun View.all(): List<View> = if (visibility != View.VISIBLE) {
    emptyList()
} else {
    listOf(this) + ((this as? ViewGroup)?.let { group ->
        (0 until group.childCount).flatMap { group.getChildAt(it).all() }
    }.orEmpty())
}
