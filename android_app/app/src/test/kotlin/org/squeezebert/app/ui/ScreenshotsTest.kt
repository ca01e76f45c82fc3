package org.squeezebert.app.ui

import android.graphics.Bitmap
import android.graphics.Canvas
import android.view.View
import java.io.File
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowDialog
import org.squeezebert.app.R
import org.squeezebert.app.work.BenchmarkState
import org.squeezebert.core.benchmark.Settings

/** Draws the screens into target/screenshots, or the folder of the property `screenshots`. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ScreenshotsTest {
    private val folder = File(System.getProperty("screenshots") ?: "target/screenshots")

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
        stage.classify()
        picture(stage, "$name-classify")
        stage.application.makeSettings =
            { Settings(blocks = 8, mostBlocks = 8, secondsPerBlock = 0.05) }
        stage.tap(R.id.tab_benchmark)
        picture(stage, "$name-setup")
        stage.measure(0, 1)
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

    private companion object {
        const val PHONE = "w411dp-h891dp-port"
    }
}
