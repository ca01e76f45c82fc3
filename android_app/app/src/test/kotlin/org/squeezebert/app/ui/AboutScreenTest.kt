package org.squeezebert.app.ui

import android.app.Activity
import android.app.AlertDialog
import android.content.Intent
import android.net.Uri
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import java.io.ByteArrayOutputStream
import java.io.File
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowDialog
import org.squeezebert.app.R
import org.squeezebert.app.work.ImportState

/** The About screen: bundles come and go, and what is broken says so. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class, qualifiers = "w411dp-h891dp-port")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class AboutScreenTest {
    private val application = RuntimeEnvironment.getApplication() as TestApplication

    @Test
    fun importsABundle() {
        application.shipped = { emptyMap() }
        val stage = Stage()
        stage.tap(R.id.tab_about)
        assertEquals("No model is installed", stage.text(R.id.about_import_state))
        pick(stage, zip { it })
        assertFalse(stage.shows(R.id.about_error))
        assertTrue(stage.text(R.id.about_import_state).startsWith("Installed"))
        stage.waitFor("the list") { stage.workplace.models.installed.size == 1 }
        assertEquals(1, stage.view<ViewGroup>(R.id.about_bundles).childCount)
        stage.tap(R.id.tab_classify)
        assertEquals("nli", stage.text(R.id.model_name))
    }

    @Test
    fun refusesABundleWithAWrongHash() {
        val stage = Stage()
        val before = stage.workplace.models.options.size
        pick(stage, zip { if (it.size > 1_000_000) it.clone().apply { this[999] = 1 } else it })
        assertTrue(stage.shows(R.id.about_error))
        assertTrue(stage.text(R.id.about_error_reason).contains("model_int8"))
        assertEquals(before, stage.workplace.models.options.size)
    }

    @Test
    fun refusesWhatIsNoZip() {
        val stage = Stage()
        pick(stage, "no zip".toByteArray())
        assertTrue(stage.shows(R.id.about_error))
        assertTrue(stage.text(R.id.about_error_next).isNotEmpty())
    }

    @Test
    fun removesABundleAfterAsking() {
        val stage = Stage()
        stage.tap(R.id.tab_about)
        val bundles = stage.view<ViewGroup>(R.id.about_bundles)
        assertEquals(2, bundles.childCount)
        bundles.getChildAt(1).findViewById<View>(R.id.bundle_remove).performClick()
        assertEquals(2, bundles.childCount)
        (ShadowDialog.getLatestDialog() as AlertDialog).getButton(AlertDialog.BUTTON_POSITIVE)
            .performClick()
        stage.waitFor("the removal") { bundles.childCount == 1 }
        stage.tap(R.id.tab_classify)
        assertEquals("intents", stage.text(R.id.model_name))
    }

    @Test
    fun listsEveryEngineWithWhatItIs() {
        val stage = Stage()
        stage.tap(R.id.tab_about)
        val texts = stage.view<View>(R.id.about_engines).all()
            .filterIsInstance<TextView>().map { it.text.toString() }
        assertTrue("$texts", texts.any { it.contains("ONNX Runtime 1.") })
        assertTrue("$texts", texts.any { it.contains("does not carry ExecuTorch") })
    }

    private fun pick(stage: Stage, content: ByteArray) {
        stage.tap(R.id.tab_about)
        stage.tap(R.id.about_import)
        val file = Uri.parse("content://files/bundle.zip")
        shadowOf(application.contentResolver)
            .registerInputStreamSupplier(file) { content.inputStream() }
        val asked = shadowOf(stage.activity).nextStartedActivityForResult.intent
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.action)
        shadowOf(stage.activity)
            .receiveResult(asked, Activity.RESULT_OK, Intent().setData(file))
        stage.waitFor("the import") {
            val state = stage.workplace.models.importing
            state != ImportState.None && state !is ImportState.Running
        }
        stage.settle()
    }

    /** The demo bundle of pairs, every file [changed]. */
    private fun zip(changed: (ByteArray) -> ByteArray): ByteArray {
        val folder = demoFolders().first { it.name == "nli" }
        val bytes = ByteArrayOutputStream()
        ZipOutputStream(bytes).use { zip ->
            for (file in folder.walk().filter(File::isFile)) {
                zip.putNextEntry(ZipEntry("nli/${file.relativeTo(folder).invariantSeparatorsPath}"))
                zip.write(changed(file.readBytes()))
            }
        }
        return bytes.toByteArray()
    }
}
