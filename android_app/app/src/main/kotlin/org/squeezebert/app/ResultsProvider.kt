package org.squeezebert.app

import android.content.ClipData
import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.content.Intent
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import java.io.FileNotFoundException
import org.squeezebert.app.work.Benchmarking

/**
 * Gives the last benchmark's results, and no other file, to an app that the user shares them with.
 * It is not exported: only who was granted the one address can read, and nobody can write.
 */
class ResultsProvider : ContentProvider() {
    override fun onCreate() = true

    override fun getType(uri: Uri) = RESULTS_TYPE

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        if (mode != "r") throw SecurityException("results can only be read")
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.MODE_READ_ONLY)
    }

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        selectionArgs: Array<String>?,
        sortOrder: String?,
    ): Cursor {
        val file = file(uri)
        val known = mapOf<String, Any>(
            OpenableColumns.DISPLAY_NAME to file.name,
            OpenableColumns.SIZE to file.length(),
        )
        val columns = projection?.filter { it in known } ?: known.keys.toList()
        return MatrixCursor(columns.toTypedArray()).apply { addRow(columns.map(known::getValue)) }
    }

    override fun insert(uri: Uri, values: ContentValues?) = throw readOnly()

    override fun update(uri: Uri, values: ContentValues?, where: String?, args: Array<String>?) =
        throw readOnly()

    override fun delete(uri: Uri, where: String?, args: Array<String>?) = throw readOnly()

    private fun file(uri: Uri): File {
        val file = resultsFile(checkNotNull(context))
        if (uri != RESULTS_ADDRESS || !file.exists()) throw FileNotFoundException("$uri")
        return file
    }

    private fun readOnly() = UnsupportedOperationException("results can only be read")
}

/** Hands the last results to an app of the user's choice. */
internal fun shareResults(context: Context): Intent = Intent(Intent.ACTION_SEND)
    .setType(RESULTS_TYPE)
    .putExtra(Intent.EXTRA_STREAM, RESULTS_ADDRESS)
    .putExtra(Intent.EXTRA_SUBJECT, resultsFile(context).name)
    .addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
    .apply {
        // The chooser passes the permission on by the clip.
        clipData = ClipData.newRawUri(null, RESULTS_ADDRESS)
    }

private fun resultsFile(context: Context) =
    File(File(context.filesDir, Workplace.BENCHMARK_FOLDER), Benchmarking.RESULTS_NAME)

private val RESULTS_ADDRESS: Uri = Uri.parse("content://org.squeezebert.app.results/last")

/** JSON lines: as a whole they are no JSON document. */
private const val RESULTS_TYPE = "application/x-ndjson"
