package org.squeezebert.app.engines

import android.app.ActivityManager
import android.content.Context
import android.content.ContextWrapper
import android.content.res.AssetManager
import android.content.res.Resources
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.squeezebert.app.entry.AndroidPhone

/** What the engines ask of Android. The test's table of parts lies in src/test/assets. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = android.app.Application::class)
class EnginesTest {
    private val context: Context = RuntimeEnvironment.getApplication()

    @Test
    fun `the build's table is read`() {
        val (onnx, executorch) = packedEngines(context.assets)
        val source = "com.microsoft.onnxruntime:onnxruntime"
        assertEquals(PackedEngine("onnx", "1.29.0", source, listOf("x86_64"), null), onnx)
        assertEquals(
            PackedEngine("executorch", null, "not in this app", emptyList(), null), executorch,
        )
    }

    /** As Gradle builds it. Android's own assets stand for an app's without the table. */
    @Test
    fun `an app without the table has its engines`() {
        val without = object : ContextWrapper(context) {
            override fun getAssets(): AssetManager = Resources.getSystem().assets
        }
        assertEquals(emptyList<PackedEngine>(), packedEngines(without.assets))
        assertEquals(listOf("onnx", "executorch"), engines(without).map { it.target })
    }

    @Test
    fun `what the system keeps for itself is not free`() {
        val manager = context.getSystemService(ActivityManager::class.java)
        for ((threshold, free) in listOf(200L to 700L, 1000L to 0L)) {
            val info = ActivityManager.MemoryInfo()
            info.availMem = 900
            info.threshold = threshold
            shadowOf(manager).setMemoryInfo(info)
            assertEquals(free, freeMemoryBytes(context))
            assertEquals(free, AndroidPhone(context).freeMemoryBytes())
        }
    }
}
