package org.squeezebert.app

import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

/** The linked resources, seen by the app. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class ResourcesTest {
    @Test
    fun namesTheApp() {
        val application = RuntimeEnvironment.getApplication()
        assertEquals("SqueezeBERT", application.getString(R.string.app_name))
        assertEquals("org.squeezebert.app", application.packageName)
    }
}
