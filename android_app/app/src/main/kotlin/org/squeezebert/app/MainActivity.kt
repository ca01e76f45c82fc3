package org.squeezebert.app

import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.os.Bundle
import android.view.View
import android.view.WindowManager
import android.widget.LinearLayout
import org.squeezebert.app.ui.AboutScreen
import org.squeezebert.app.ui.BenchmarkScreen
import org.squeezebert.app.ui.ClassifyScreen
import org.squeezebert.app.ui.ModelSheet
import org.squeezebert.app.ui.Screen
import org.squeezebert.app.ui.keepClear
import org.squeezebert.app.ui.show
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.core.UserError

/** The app's one window: three screens, and the tabs that change between them. */
class MainActivity : Activity() {
    private class Tab(val page: View, val button: View, val screen: Screen)

    private lateinit var workplace: Workplace
    private lateinit var classify: ClassifyScreen
    private lateinit var tabs: List<Tab>
    private var selected = CLASSIFY
    private var sheet: ModelSheet? = null
    private val render = {
        tabs.forEach { it.screen.render() }
        sheet?.render()
        keepAwake(workplace.benchmarking.state is BenchmarkState.Running)
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        workplace = (application as DemoApplication).workplace
        setContentView(R.layout.main)
        val bar = findViewById<LinearLayout>(R.id.tabs)
        keepClear(findViewById(R.id.root), bar, below = bar.orientation == LinearLayout.HORIZONTAL)
        tabs = makeTabs()
        tabs.forEachIndexed { index, tab -> tab.button.setOnClickListener { select(index) } }
        savedInstanceState?.let { state ->
            tabs.forEach { it.screen.restore(state) }
            selected = state.getInt(SELECTED)
        }
        select(selected)
        render()
        if (savedInstanceState?.getBoolean(CHOOSING) == true) chooseModel()
        if (savedInstanceState == null) enter(intent)
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        enter(intent)
    }

    override fun onStart() {
        super.onStart()
        workplace.addListener(render)
        render()
    }

    override fun onStop() {
        workplace.removeListener(render)
        super.onStop()
    }

    override fun onDestroy() {
        sheet?.dismiss()
        super.onDestroy()
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        tabs.forEach { it.screen.save(state) }
        state.putInt(SELECTED, selected)
        state.putBoolean(CHOOSING, sheet?.isShowing == true)
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        super.onActivityResult(request, result, data)
        val file = data?.data ?: return
        if (request != IMPORT || result != RESULT_OK) return
        select(ABOUT)
        // The import may outlive this Activity.
        val resolver = application.contentResolver
        workplace.models.importing.start(PickedFile(resolver, file))
    }

    private fun makeTabs(): List<Tab> {
        val pages = listOf(R.id.classify, R.id.benchmark, R.id.about)
            .map { findViewById<View>(it) }
        classify = ClassifyScreen(pages[CLASSIFY], workplace, ::chooseModel)
        return listOf(
            Tab(pages[CLASSIFY], findViewById(R.id.tab_classify), classify),
            Tab(
                pages[BENCHMARK],
                findViewById(R.id.tab_benchmark),
                BenchmarkScreen(pages[BENCHMARK], workplace, ::settings, ::share),
            ),
            Tab(
                pages[ABOUT],
                findViewById(R.id.tab_about),
                AboutScreen(this, pages[ABOUT], workplace, { classify.model }, ::pickFile),
            ),
        )
    }

    private fun settings() = (application as DemoApplication).settings

    private fun select(index: Int) {
        selected = index
        tabs.forEachIndexed { at, tab ->
            tab.page.show(at == index)
            tab.button.isSelected = at == index
        }
    }

    private fun chooseModel() {
        sheet?.dismiss()
        sheet = ModelSheet(this, workplace, { classify.model?.id }, classify::choose, ::pickFile)
            .apply { show() }
    }

    /** A phone that is being measured must not turn itself off, whichever screen is looked at. */
    private fun keepAwake(awake: Boolean) = if (awake) {
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
    } else {
        window.clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
    }

    private fun pickFile() {
        val pick = Intent(Intent.ACTION_OPEN_DOCUMENT)
            .addCategory(Intent.CATEGORY_OPENABLE)
            // Not every provider knows the type of a zip file.
            .setType("*/*")
        try {
            startActivityForResult(pick, IMPORT)
        } catch (_: ActivityNotFoundException) {
            workplace.models.importing.refuse(
                UserError(
                    "This device has no app to pick a file with.",
                    "Install a file manager, then import the bundle again.",
                ),
            )
        }
    }

    private fun share() {
        startActivity(Intent.createChooser(shareResults(this), getString(R.string.share)))
    }

    /** What was asked for from outside: only through the guarded entry, never by MainActivity. */
    private fun enter(intent: Intent) {
        // The list of recent apps hands the last intent over again, long after its run.
        if (intent.flags and Intent.FLAG_ACTIVITY_LAUNCHED_FROM_HISTORY != 0) return
        if (intent.component?.className?.endsWith(".BenchmarkEntry") != true) return
        select(BENCHMARK)
        (application as DemoApplication).enter(intent)
    }

    private companion object {
        const val CLASSIFY = 0
        const val BENCHMARK = 1
        const val ABOUT = 2
        const val IMPORT = 1
        const val SELECTED = "selected"
        const val CHOOSING = "choosing"
    }
}
