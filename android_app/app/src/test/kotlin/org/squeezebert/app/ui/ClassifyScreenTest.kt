package org.squeezebert.app.ui

import android.view.ViewGroup
import android.widget.EditText
import android.widget.TextView
import java.io.InputStream
import java.util.concurrent.CountDownLatch
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowDialog
import org.squeezebert.app.R
import org.squeezebert.app.work.ClassifyState

/** The Classify screen with real ONNX Runtime on a real bundle. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = TestApplication::class, qualifiers = "w411dp-h891dp-port")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class ClassifyScreenTest {
    private val application = RuntimeEnvironment.getApplication() as TestApplication

    @Test
    fun showsTheAnswerOfTheModel() {
        val stage = Stage()
        stage.type(R.id.premise_field, "Two dogs are running along the beach.")
        stage.type(R.id.hypothesis_field, "The dogs are sleeping.")
        val answer = stage.classify() as ClassifyState.Done
        val best = answer.prediction.scores.maxBy { it.probability }
        assertEquals(1.0, answer.prediction.scores.sumOf { it.probability }, 1e-9)
        // A pair that the model tells apart with certainty.
        assertEquals("contradiction", best.label)
        assertEquals("contradiction", stage.text(R.id.result_verdict))
        val rows = stage.view<ViewGroup>(R.id.scores)
        assertEquals(3, rows.childCount)
        val percent = rows.getChildAt(0).findViewById<TextView>(R.id.score_percent).text.toString()
        assertEquals(best.probability * 100, percent.removeSuffix("%").toDouble(), 0.51)
        assertTrue(stage.shows(R.id.result))
        assertFalse(stage.shows(R.id.result_none))
    }

    @Test
    fun aBlankTextCannotBeClassified() {
        val stage = Stage()
        stage.type(R.id.premise_field, "A man sleeps.")
        stage.type(R.id.hypothesis_field, " \n ")
        assertFalse(stage.view<TextView>(R.id.classify_button).isEnabled)
        stage.type(R.id.hypothesis_field, "\uD83D")
        assertTrue(stage.view<TextView>(R.id.classify_button).isEnabled)
        assertTrue(stage.classify() is ClassifyState.Done)
    }

    @Test
    fun anEnormousTextIsCutAndSaidSo() {
        val stage = Stage()
        stage.tapExample(0)
        stage.type(R.id.premise_field, "word ".repeat(2_000_000))
        assertEquals(20_000, stage.text(R.id.premise_field).length)
        assertNotNull(stage.view<EditText>(R.id.premise_field).error)
        val answer = stage.classify() as ClassifyState.Done
        assertTrue(answer.prediction.truncated)
        assertTrue(stage.text(R.id.result_notice).contains("Only its beginning counted"))
    }

    @Test
    fun rotatingLosesNothing() {
        val stage = Stage()
        stage.tapExample(1)
        stage.classify()
        stage.become("w891dp-h411dp-land")
        assertEquals("Two dogs are running along the beach.", stage.text(R.id.premise_field))
        assertEquals("contradiction", stage.text(R.id.result_verdict))
        assertTrue(stage.shows(R.id.result))
        assertFalse(stage.shows(R.id.result_notice))
    }

    @Test
    fun theEndOfTheProcessLosesNothing() {
        val stage = Stage()
        chooseModel(stage, "intents")
        stage.tapExample(1)
        stage.classify()
        val (verdict, latency) = stage.text(R.id.result_verdict) to facts(stage)
        stage.dieAndReturn()
        assertEquals("will it rain in london tomorrow", stage.text(R.id.premise_field))
        assertEquals("intents", stage.text(R.id.model_name))
        assertEquals(verdict, stage.text(R.id.result_verdict))
        assertEquals(latency, facts(stage))
        assertTrue(stage.classify() is ClassifyState.Done)
    }

    @Test
    fun anOldAnswerIsNotTakenForThatOfANewText() {
        val stage = Stage()
        stage.tapExample(1)
        stage.classify()
        stage.type(R.id.hypothesis_field, "Two animals are outside.")
        assertTrue(stage.shows(R.id.result_notice))
        stage.classify()
        assertFalse(stage.shows(R.id.result_notice))
    }

    @Test
    fun manyLabelsAreShownOnDemand() {
        val stage = Stage()
        chooseModel(stage, "intents")
        assertFalse(stage.shows(R.id.hypothesis_part))
        stage.tapExample(1)
        stage.classify()
        val rows = stage.view<ViewGroup>(R.id.scores)
        assertEquals(5, rows.childCount)
        stage.tap(R.id.more_scores)
        assertEquals(150, rows.childCount)
    }

    @Test
    fun cancellingForgetsTheQuestionAndNothingRunsOnTheMainThread() {
        val gate = CountDownLatch(1)
        val engine = GateEngine(gate)
        application.engines = listOf(engine)
        val stage = Stage()
        stage.tapExample(0)
        stage.tap(R.id.classify_button)
        assertEquals("Cancel", stage.text(R.id.classify_button))
        stage.waitFor("the inference to begin") { engine.entered }
        stage.tap(R.id.classify_button)
        assertEquals("Classify", stage.text(R.id.classify_button))
        assertTrue(stage.shows(R.id.result_none))
        gate.countDown()
        stage.waitFor("the inference") { engine.inferences == 1 }
        stage.settle()
        assertTrue(stage.shows(R.id.result_none))
        assertTrue(stage.classify() is ClassifyState.Done)
        assertFalse(engine.onMainThread)
    }

    @Test
    fun anEngineThatIsNotThereSaysWhy() {
        application.engines = emptyList()
        val stage = Stage()
        stage.tapExample(0)
        assertFalse(stage.view<TextView>(R.id.classify_button).isEnabled)
        assertTrue(stage.text(R.id.classify_error_reason).contains("no engine"))
        assertTrue(stage.shows(R.id.classify_error_next))
    }

    @Test
    fun thePickerOffersItsModelsAfterTheEndOfTheProcess() {
        val stage = Stage()
        stage.tap(R.id.model_card)
        val before = sheet().childCount
        assertTrue(before > 0)
        stage.dieAndReturn()
        assertTrue(ShadowDialog.getLatestDialog().isShowing)
        assertEquals(before, sheet().childCount)
    }

    @Test
    fun onlyClassifiersOfWholeTextsAreOffered() {
        application.shipped = { mapOf("tokens" to tokenClassifier()) }
        val stage = Stage()
        assertTrue(stage.workplace.models.options.isNotEmpty())
        stage.tap(R.id.model_card)
        assertEquals(0, sheet().childCount)
        assertEquals("No model is installed", stage.text(R.id.model_name))
    }

    /** The demo bundle of pairs that says to be of another task. */
    private fun tokenClassifier(): Map<String, () -> InputStream> {
        val folder = demoFolders().first { it.name == "nli" }
        return folder.walk().filter { it.isFile }.associate { file ->
            file.relativeTo(folder).path to {
                if (file.name == "manifest.json") {
                    val task = "\"task\": \"sequence-classification\""
                    val text = file.readText()
                    assertTrue(task in text)
                    text.replace(task, "\"task\": \"token-classification\"").byteInputStream()
                } else {
                    file.inputStream()
                }
            }
        }
    }

    private fun sheet() = checkNotNull(ShadowDialog.getLatestDialog().window).decorView
        .findViewById<ViewGroup>(R.id.sheet_models)

    private fun chooseModel(stage: Stage, name: String) {
        stage.tap(R.id.model_card)
        val list = sheet()
        (0 until list.childCount).map { list.getChildAt(it) as TextView }
            .first { it.text.startsWith(name) && it.isEnabled }.performClick()
        stage.settle()
        assertEquals(name, stage.text(R.id.model_name))
    }

    private fun facts(stage: Stage) = stage.view<ViewGroup>(R.id.result_facts).all()
        .mapNotNull { it.contentDescription }
}
