package org.squeezebert.app.ui

import android.graphics.Bitmap
import android.graphics.Canvas
import java.io.File
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.squeezebert.app.R

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
        stage.measure(0, 2)
        picture(stage, "$name-benchmark")
        stage.tap(R.id.tab_about)
        picture(stage, "$name-about")
    }

    private fun picture(stage: Stage, name: String) {
        stage.settle()
        val view = stage.activity.window.decorView
        val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        view.draw(Canvas(bitmap))
        folder.mkdirs()
        File(folder, "$name.png").outputStream().use {
            bitmap.compress(Bitmap.CompressFormat.PNG, 100, it)
        }
    }

    private companion object {
        const val PHONE = "w411dp-h891dp-port"
    }
}
