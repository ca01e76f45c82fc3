package org.squeezebert.app

import android.content.ContentResolver
import android.net.Uri
import android.provider.OpenableColumns
import java.io.FileNotFoundException
import java.io.InputStream
import org.squeezebert.core.UserError

/** The name that a picked [file] bears, or the end of its address where its provider has none. */
internal fun displayName(resolver: ContentResolver, file: Uri): String {
    val told = try {
        resolver.query(file, arrayOf(OpenableColumns.DISPLAY_NAME), null, null, null)?.use {
            if (it.moveToFirst()) it.getString(0) else null
        }
    } catch (_: SecurityException) {
        // The provider may have taken back its permission; opening will say so.
        null
    }
    return told ?: file.lastPathSegment ?: "bundle"
}

/** Throws [UserError] where the provider does not give the file. */
internal fun openPicked(resolver: ContentResolver, file: Uri): InputStream {
    val failure = try {
        resolver.openInputStream(file)?.let { return it }
    } catch (error: FileNotFoundException) {
        error
    } catch (error: SecurityException) {
        error
    }
    throw UserError(
        "The picked file cannot be opened.",
        "Copy it to this device, then pick it again.",
        failure,
    )
}
