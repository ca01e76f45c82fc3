package org.squeezebert.app.ui

import android.graphics.Bitmap
import android.graphics.Canvas
import android.view.View
import android.view.ViewGroup
import android.widget.ScrollView
import java.io.File
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowBuild
import org.robolectric.shadows.ShadowDialog
import org.squeezebert.app.R
import org.squeezebert.app.engines.engines
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.core.UserError
import org.squeezebert.core.benchmark.Settings
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine

/**
 * Draws the screens into target/screenshots, or the folder of the property `screenshots`.
 *
 * Answers and times in them are those of ONNX Runtime on this machine.
 */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreenshotsTest {
    private val kept = System.getProperty("screenshots")?.takeIf { it.isNotEmpty() }
    private val folder = File(kept ?: "target/screenshots")
    private val application = RuntimeEnvironment.getApplication() as TestApplication

    @Before
    fun setUpPhone() {
        ShadowBuild.setManufacturer("Example")
        ShadowBuild.setModel("phone")
        ShadowBuild.setSupportedAbis(arrayOf("x86_64"))
        application.engines = engines(application).map {
            if (it.target == "executorch") NotCarried(it) else it
        }
    }

    @Test
    fun phoneLight() = draw("phone-light", "en-$PHONE-notnight-xhdpi")

    @Test
    fun phoneDark() = draw("phone-dark", "en-$PHONE-night-xhdpi")

    @Test
    fun phoneLandscape() = draw("phone-landscape", "en-w891dp-h411dp-land-notnight-xhdpi")

    @Test
    fun tabletLight() = draw("tablet-light", "en-w1280dp-h800dp-land-notnight-mdpi")

    @Test
    fun tabletPortraitDark() = draw("tablet-dark", "en-w800dp-h1280dp-port-night-mdpi")

    @Test
    fun german() = draw("phone-german", "de-$PHONE-notnight-xhdpi")

    @Test
    fun arabic() = draw("phone-arabic", "ar-ldrtl-$PHONE-notnight-xhdpi")

    @Test
    fun largeLetters() {
        RuntimeEnvironment.setFontScale(2f)
        draw("phone-large-letters", "en-$PHONE-notnight-xhdpi")
    }

    private fun draw(name: String, qualifiers: String) {
        RuntimeEnvironment.setQualifiers(qualifiers)
        val stage = Stage()
        picture(stage, "$name-start")
        stage.tapExample(1)
        // The first inferences load the model and compile the tokenizer.
        repeat(WARM) { stage.classify() }
        scrollNear(stage, R.id.classify, R.id.result)
        picture(stage, "$name-classify")
        if (kept != null) {
            // Long enough for an interval that says something.
            application.makeSettings =
                { Settings(blocks = 10, mostBlocks = 20, secondsPerBlock = 0.1) }
        }
        stage.tap(R.id.tab_benchmark)
        picture(stage, "$name-setup")
        stage.measure(0, 1)
        scrollNear(stage, R.id.benchmark, R.id.benchmark_results)
        picture(stage, "$name-benchmark")
        stage.tap(R.id.tab_about)
        picture(stage, "$name-about")
    }

    @Test
    fun whileMeasuring() {
        RuntimeEnvironment.setQualifiers("en-$PHONE-notnight-xhdpi")
        val stage = Stage()
        stage.startMeasuring(0, 1)
        stage.waitFor("progress") {
            val running = stage.workplace.benchmarking.state as? BenchmarkState.Running
            running?.progress?.conditions != null
        }
        picture(stage, "phone-light-measuring")
        stage.tap(R.id.benchmark_cancel)
        stage.waitForBenchmark()
    }

    @Test
    fun modelsToChoose() {
        RuntimeEnvironment.setQualifiers("en-$PHONE-notnight-xhdpi")
        val stage = Stage()
        stage.tap(R.id.model_card)
        val sheet = checkNotNull(ShadowDialog.getLatestDialog().window).decorView
        write("phone-light-models", draw(stage.activity.window.decorView) { canvas, behind ->
            canvas.drawColor(stage.activity.getColor(R.color.shade))
            canvas.translate(0f, (behind.height - sheet.height).toFloat())
            sheet.draw(canvas)
        })
    }

    /** Scrolls towards [target], so far that the upper edge cuts through nothing of [page]. */
    private fun scrollNear(stage: Stage, page: Int, target: Int) {
        stage.settle()
        val scroll = stage.view<View>(page) as? ScrollView ?: return
        val gap = stage.activity.dp(6)
        val column = scroll.getChildAt(0) as ViewGroup
        val most = column.height + scroll.paddingTop + scroll.paddingBottom - scroll.height
        val spans = column.all().filter { it !== column && it.parent !== column }
            .map { topOf(it, scroll).let { top -> top until top + it.height } }
        val wanted = minOf(topOf(stage.view(target), scroll) - gap, most)
        val edge = (wanted downTo 1).firstOrNull { edge ->
            spans.none { it.first < edge + gap && it.last >= edge }
        }
        scroll.scrollTo(0, edge ?: 0)
    }

    /** Where [view] begins in what [scroll] scrolls. */
    private fun topOf(view: View, scroll: View): Int =
        if (view === scroll) 0 else view.top + topOf(view.parent as View, scroll)

    private fun picture(stage: Stage, name: String) {
        stage.settle()
        // A tick that still grows would not be in the picture.
        stage.activity.window.decorView.jumpDrawablesToCurrentState()
        write(name, draw(stage.activity.window.decorView))
    }

    private fun draw(view: View, above: (Canvas, View) -> Unit = { _, _ -> }): Bitmap {
        val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        val canvas = Canvas(bitmap)
        view.draw(canvas)
        above(canvas, view)
        return bitmap
    }

    private fun write(name: String, bitmap: Bitmap) {
        folder.mkdirs()
        File(folder, "$name.png").outputStream().use {
            bitmap.compress(Bitmap.CompressFormat.PNG, 100, it)
        }
    }

    /** [engine], as an app tells of it that was built without. */
    private class NotCarried(private val engine: Engine) : Engine by engine {
        override fun availability() = Availability.Missing(
            UserError("This app does not carry ${engine.name} for this processor.", "Build it in."),
        )
    }

    private companion object {
        /** A large phone of today. */
        const val PHONE = "w448dp-h997dp-port"

        const val WARM = 5
    }
}
