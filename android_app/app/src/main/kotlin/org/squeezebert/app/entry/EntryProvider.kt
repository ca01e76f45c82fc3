package org.squeezebert.app.entry

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import java.io.File
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonObject
import org.squeezebert.app.engines.engines
import org.squeezebert.core.UserError
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.entry.PlanFolder
import org.squeezebert.core.entry.about

/**
 * Tells a computer what the app can do, and makes the folder of a run, without showing anything.
 *
 *     adb shell content query --uri content://org.squeezebert.app.benchmark[/RUN]
 *
 * answers one row with the column `about`, a JSON object. The folder is made here so that the app
 * owns it, whoever writes files there. The manifest asks for the permission DUMP, which adb's shell
 * has and other apps have not.
 */
class EntryProvider : ContentProvider() {
    /** Makes the engines; tests replace it. */
    internal var enginesOf: (Context) -> List<Engine> = ::engines

    override fun onCreate(): Boolean = true

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        arguments: Array<String>?,
        order: String?,
    ): Cursor {
        val context = requireNotNull(context) { "a provider has a context after onCreate" }
        val run = uri.lastPathSegment
        val answer = try {
            if (run != null) makeFolder(context, run)
            about(AndroidPhone(context), enginesOf(context))
        } catch (error: UserError) {
            problem(error)
        }
        return MatrixCursor(arrayOf("about")).apply { addRow(arrayOf("$answer")) }
    }

    private fun makeFolder(context: Context, run: String) {
        val shared = sharedFolder(context)
        // The computer has stopped the app before: whatever it measured was left where it lies.
        PlanFolder.of(run, shared, ownFolder(context)).removeOthers()
        val folder = File(shared, run)
        if (!folder.isDirectory && !folder.mkdirs()) {
            throw UserError(
                "The folder of the run cannot be made.",
                "Free some storage on the phone, and unlock it after it was started.",
            )
        }
    }

    private fun problem(error: UserError): JsonObject = buildJsonObject {
        putJsonObject("problem") {
            put("reason", error.reason)
            put("next_step", error.nextStep)
        }
    }

    override fun getType(uri: Uri): String? = null

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun delete(uri: Uri, selection: String?, arguments: Array<String>?): Int = 0

    override fun update(
        uri: Uri,
        values: ContentValues?,
        selection: String?,
        arguments: Array<String>?,
    ): Int = 0
}

/** The folder of all runs that a computer started, which adb can write to. Throws [UserError]. */
internal fun sharedFolder(context: Context): File {
    val external = context.getExternalFilesDir(null) ?: throw UserError(
        "The phone's shared storage is not there.",
        "Unlock the phone once after it was started, and run again.",
    )
    return File(external, RUNS)
}

/** Where only the app can write: the models of those runs lie there while they are measured. */
internal fun ownFolder(context: Context): File = File(context.noBackupFilesDir, RUNS)

private const val RUNS = "benchmark"
