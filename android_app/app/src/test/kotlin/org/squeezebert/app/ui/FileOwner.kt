package org.squeezebert.app.ui

import android.content.ContentProvider
import android.content.ContentValues
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.Looper
import android.provider.OpenableColumns

/** Another app with a file called [name], or one that fails as [failure] says. */
internal class FileOwner : ContentProvider() {
    var name = "pairs.zip"
    var failure: RuntimeException? = null

    @Volatile
    var askedOnMainThread: Boolean? = null

    override fun onCreate() = true

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        selectionArgs: Array<String>?,
        sortOrder: String?,
    ): Cursor {
        askedOnMainThread = Looper.myLooper() == Looper.getMainLooper()
        failure?.let { throw it }
        return MatrixCursor(arrayOf(OpenableColumns.DISPLAY_NAME)).apply { addRow(arrayOf(name)) }
    }

    override fun getType(uri: Uri) = "application/zip"

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun update(uri: Uri, values: ContentValues?, where: String?, args: Array<String>?) = 0

    override fun delete(uri: Uri, where: String?, args: Array<String>?) = 0
}
