package org.squeezebert.app.ui

import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.TextView
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.squeezebert.app.R

/** Nothing is cut off or too small to touch, and TalkBack has words for everything. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class LayoutTest {
    @Test
    fun everyScreenInEnglish() = check("en-w411dp-h891dp-port")

    @Test
    fun everyScreenInGermanWithLargeLetters() = check("de-w360dp-h640dp-port", fontScale = 2f)

    @Test
    fun everyScreenInArabicWithLargeLetters() = check("ar-ldrtl-w411dp-h891dp-port", fontScale = 2f)

    @Test
    fun everyScreenOfALowPhone() = check("de-w640dp-h360dp-land", fontScale = 1.3f)

    @Test
    fun everyScreenOfATablet() = check("en-w1280dp-h800dp-land")

    @Test
    fun aTextThatIsCutOffIsFound() {
        val stage = Stage()
        val title = stage.view<TextView>(R.id.classify_button)
        assertEquals(emptyList<String>(), problems(stage))
        title.layoutParams = LinearLayout.LayoutParams(90, 20)
        stage.settle()
        assertTrue("${problems(stage)}", problems(stage).any { "cut off" in it })
        assertTrue("${problems(stage)}", problems(stage).any { "small" in it })
    }

    @Test
    fun aFieldWithoutALabelIsFound() {
        val stage = Stage()
        stage.view<TextView>(R.id.premise_label).labelFor = View.NO_ID
        assertTrue("${problems(stage)}", problems(stage).any { "label" in it })
    }

    private fun check(qualifiers: String, fontScale: Float = 1f) {
        RuntimeEnvironment.setFontScale(fontScale)
        RuntimeEnvironment.setQualifiers("$qualifiers-xhdpi")
        val stage = Stage()
        assertEquals(emptyList<String>(), problems(stage))
        stage.tapExample(1)
        stage.classify()
        assertEquals(emptyList<String>(), problems(stage))
        stage.measure(0, 1)
        assertEquals(emptyList<String>(), problems(stage))
        stage.tap(R.id.tab_about)
        assertEquals(emptyList<String>(), problems(stage))
    }

    private fun problems(stage: Stage): List<String> {
        stage.settle()
        val views = stage.view<View>(R.id.root).all()
        val least = 48 * stage.activity.resources.displayMetrics.density
        val labelled = views.map { it.labelFor }.toSet()
        return views.flatMap { view ->
            listOfNotNull(
                "cut off".takeIf { view is TextView && isCutOff(view) },
                "outside of what is around it".takeIf { isOutside(view) },
                "too small to touch".takeIf {
                    view.isClickable && (view.width < least || view.height < least)
                },
                "without words".takeIf { view.isClickable && !hasWords(view) },
                "without a label".takeIf { view is EditText && view.id !in labelled },
            ).map { "${name(view)} is $it" }
        }
    }

    private fun isCutOff(view: TextView): Boolean {
        val layout = view.layout ?: return false
        val lines = minOf(layout.lineCount, view.maxLines)
        val width = view.width - view.compoundPaddingLeft - view.compoundPaddingRight
        val height = view.height - view.compoundPaddingTop - view.compoundPaddingBottom
        return layout.lineCount > view.maxLines && view !is EditText ||
            layout.getLineTop(lines) > height + 1 ||
            (0 until lines).any {
                layout.getEllipsisCount(it) > 0 || layout.getLineMax(it) > width + 1
            }
    }

    private fun isOutside(view: View): Boolean {
        val parent = view.parent as? ViewGroup ?: return false
        return view.left < 0 || view.right > parent.width
    }

    private fun hasWords(view: View): Boolean = view.contentDescription != null ||
        view.all().any { it is TextView && (it.text.isNotEmpty() || it.hint != null) }

    private fun name(view: View): String {
        val id = if (view.id == View.NO_ID) "view" else view.resources.getResourceEntryName(view.id)
        return if (view is TextView && view !is Button) "$id \"${view.text}\"" else id
    }
}
