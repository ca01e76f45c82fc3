package org.squeezebert.app

import android.os.Looper
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

/** The application as the manifest names it, with what is packed into the tests' assets. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class DemoApplicationTest {
    private val workplace = (RuntimeEnvironment.getApplication() as DemoApplication).workplace

    @Test
    fun installsTheBundlesOfItsAssets() {
        val models = workplace.models
        repeat(MOST_POLLS) {
            shadowOf(Looper.getMainLooper()).idle()
            if (!models.ready) Thread.sleep(POLL_MILLIS)
        }
        assertTrue(models.ready)
        assertNull("${models.problem}", models.problem)
        val small = checkNotNull(models.installed.single().bundle)
        assertEquals("small", small.name)
        assertEquals("onnx/model.onnx", models.options.single().artifact.path)
        assertEquals(small.artifacts.single().bytes, models.options.single().file.length())
        assertEquals(setOf("onnx", "executorch"), models.engines.map { it.first.target }.toSet())
        assertTrue(workplace.threads >= 1)
    }

    private companion object {
        const val MOST_POLLS = 1_000
        const val POLL_MILLIS = 10L
    }
}
