package org.squeezebert.app.ui

import android.app.AlertDialog
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
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowDialog
import org.squeezebert.app.R
import org.squeezebert.app.work.ClassifyState
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
        assertEquals(1, stage.workplace.models.installed.size)
        assertEquals(1, stage.view<ViewGroup>(R.id.about_bundles).childCount)
        stage.tap(R.id.tab_classify)
        assertEquals("nli", stage.text(R.id.model_name))
        pick(stage, zip { it })
        assertTrue(stage.text(R.id.about_import_state).startsWith("Replaced"))
        assertEquals(1, stage.workplace.models.installed.size)
    }

    @Test
    fun theNameIsAskedForInTheBackground() {
        val owner = Robolectric.buildContentProvider(FileOwner::class.java).create("files").get()
        val stage = Stage()
        pick(stage, zip { it })
        assertEquals(false, owner.askedOnMainThread)
        assertTrue(stage.workplace.models.installed.any { it.id == "pairs" })
        owner.failure = IllegalArgumentException("no such column")
        pick(stage, zip { it })
        assertTrue(stage.text(R.id.about_error_reason).contains("no such column"))
    }

    @Test
    fun whateverTheOwnerOfTheFileThrowsIsTold() {
        val stage = Stage()
        stage.startImport { throw IllegalStateException("the cloud is away") }
        stage.waitForImport()
        assertTrue(stage.text(R.id.about_error_reason).contains("the cloud is away"))
        assertTrue(stage.text(R.id.about_error_next).startsWith("Copy the file"))
    }

    @Test
    fun anImportThatHangsIsCancelledAndTheAppGoesOn() {
        val stage = Stage()
        val owner = HangingStream()
        stage.startImport { owner }
        stage.waitFor("reading") { owner.reading }
        assertEquals("Cancel", stage.text(R.id.about_import))
        stage.tap(R.id.about_import)
        stage.waitForImport()
        assertEquals(ImportState.None, stage.workplace.models.importing.state)
        assertEquals("Import a bundle", stage.text(R.id.about_import))
        assertFalse(stage.shows(R.id.about_error))
        stage.waitFor("the end of the stream") { owner.closed }
        stage.tap(R.id.tab_classify)
        stage.tapExample(1)
        assertTrue(stage.classify() is ClassifyState.Done)
    }

    @Test
    fun nothingIsClassifiedOrMeasuredBesideAnImport() {
        val stage = Stage()
        stage.tapExample(1)
        stage.view<ViewGroup>(R.id.benchmark_models).getChildAt(0).performClick()
        val buttons = listOf(R.id.classify_button, R.id.benchmark_start, R.id.benchmark_continue)
        assertEquals(listOf(true, true, true), buttons.map { stage.view<View>(it).isEnabled })
        stage.startImport { HangingStream() }
        assertEquals(listOf(false, false, false), buttons.map { stage.view<View>(it).isEnabled })
        stage.tap(R.id.about_import)
        stage.waitForImport()
        assertEquals(listOf(true, true, true), buttons.map { stage.view<View>(it).isEnabled })
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
        stage.startImport { content.inputStream() }
        stage.waitForImport()
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
