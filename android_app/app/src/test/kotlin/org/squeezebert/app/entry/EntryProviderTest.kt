package org.squeezebert.app.entry

import android.content.Context
import android.net.Uri
import java.io.File
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35])
class EntryProviderTest {
    private val context: Context = RuntimeEnvironment.getApplication()
    private val provider = Robolectric.buildContentProvider(EntryProvider::class.java)
        .create("org.squeezebert.app.benchmark").get()
    private val runs get() = File(context.getExternalFilesDir(null), "benchmark")

    @Before
    fun anEngineThatIsMissing() {
        provider.enginesOf = { listOf(MissingEngine) }
    }

    @Test
    fun theAppSaysWhatItCanDo() {
        val found = ask("")
        assertEquals("squeezebert-app-plan/1", found["plans"]?.jsonPrimitive?.content)
        assertEquals("app", found.getValue("device").jsonObject["kind"]?.jsonPrimitive?.content)
        assertTrue("app" in found.getValue("versions").jsonObject)
        val engine = found.getValue("engines").jsonObject.getValue("onnx").jsonObject
        assertEquals("It is not here.", engine["reason"]?.jsonPrimitive?.content)
        assertFalse(runs.exists())
    }

    @Test
    fun theFolderOfARunIsMadeOnce() {
        repeat(2) { assertTrue("engines" in ask("/bench-0123456789ab")) }
        assertEquals(listOf("bench-0123456789ab"), runs.list()?.toList())
    }

    @Test
    fun modelsThatAnotherRunLeftAreRemoved() {
        val copies = File(context.noBackupFilesDir, "benchmark")
        File(copies, "bench-1/e1").mkdirs()
        File(copies, "bench-2/e1").mkdirs()
        ask("")
        assertEquals(2, copies.list()?.size)
        ask("/bench-2")
        assertEquals(listOf("bench-2"), copies.list()?.toList())
        ask("/..")
        assertEquals(listOf("bench-2"), copies.list()?.toList())
    }

    @Test
    fun aNameThatIsNoneMakesNothing() {
        for (name in listOf("..", ".x", "a%2Fb", "a%20b")) {
            val problem = ask("/$name").getValue("problem").jsonObject
            assertTrue(name, "no name" in problem.getValue("reason").jsonPrimitive.content)
        }
        assertTrue(runs.list().isNullOrEmpty())
    }

    @Test
    fun aFullStorageIsSaid() {
        runs.parentFile?.mkdirs()
        runs.writeText("in the way")
        val problem = ask("/bench-1").getValue("problem").jsonObject
        assertTrue("cannot be made" in problem.getValue("reason").jsonPrimitive.content)
    }

    private fun ask(path: String): JsonObject {
        val address = Uri.parse("content://org.squeezebert.app.benchmark$path")
        provider.query(address, null, null, null, null).use { cursor ->
            assertTrue(cursor.moveToFirst())
            assertEquals("about", cursor.getColumnName(0))
            assertEquals(1, cursor.count)
            return Json.parseToJsonElement(cursor.getString(0)).jsonObject
        }
    }
}

/** An engine that is not in the app. */
private object MissingEngine : Engine {
    override val target = "onnx"
    override val name = "ONNX Runtime"

    override fun availability() =
        Availability.Missing(UserError("It is not here.", "Build it in."))

    override fun open(file: File, artifact: Artifact, threads: Int): Model =
        throw UserError("It is not here.", "Build it in.")
}
