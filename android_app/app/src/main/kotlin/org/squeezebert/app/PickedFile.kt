package org.squeezebert.app

import android.content.ContentResolver
import android.net.Uri
import android.os.CancellationSignal
import android.provider.OpenableColumns
import java.io.InputStream
import java.util.concurrent.Callable
import java.util.concurrent.CancellationException
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executors
import java.util.concurrent.Future
import org.squeezebert.app.work.ImportSource
import org.squeezebert.core.UserError

/**
 * A file that the user has picked, at the [address] of another app.
 *
 * That app is asked on a thread of its own: one that never answers holds up nobody, since
 * [cancel] leaves it behind.
 */
internal class PickedFile(
    private val resolver: ContentResolver,
    private val address: Uri,
) : ImportSource {
    private val owner = Executors.newSingleThreadExecutor { work ->
        Thread(work, "picked file").apply { isDaemon = true }
    }
    private val signal = CancellationSignal()
    private val lock = Any()
    private var waiting: Future<*>? = null
    private var opened: InputStream? = null
    private var cancelled = false
    private var closed = false

    /** The name that the owner tells, or the end of the address where it has none. */
    override fun name(): String = ask { told() } ?: address.lastPathSegment ?: "bundle"

    override fun open(): InputStream {
        val stream = ask { resolver.openInputStream(address)?.also(::keep) }
        return Content(stream ?: throw failed("it gives no content", null))
    }

    override fun cancel() {
        synchronized(lock) {
            cancelled = true
            waiting?.cancel(true)
        }
        signal.cancel()
    }

    override fun close() {
        owner.shutdownNow()
        val left = synchronized(lock) {
            closed = true
            opened
        }
        if (left != null) closeAside(left)
    }

    /** On the owner's thread, perhaps after [close]. */
    private fun keep(stream: InputStream) {
        val late = synchronized(lock) {
            opened = stream
            closed
        }
        if (late) closeAside(stream)
    }

    /** The owner's thread may hang in reading; on Android, closing by another one ends that. */
    private fun closeAside(stream: InputStream) {
        val work = Runnable {
            try {
                stream.close()
            } catch (_: Exception) {
                // What was wanted of it has been read, or nothing is wanted any more.
            }
        }
        Thread(work, "close picked file").apply { isDaemon = true }.start()
    }

    private fun told(): String? {
        val columns = arrayOf(OpenableColumns.DISPLAY_NAME)
        return resolver.query(address, columns, null, null, null, signal)?.use {
            if (it.moveToFirst()) it.getString(0) else null
        }
    }

    /** The owner's answer; a [UserError] where it fails in whatever way. */
    private fun <T> ask(question: () -> T): T {
        val answer = synchronized(lock) {
            if (cancelled) throw CancellationException()
            owner.submit(Callable { question() }).also { waiting = it }
        }
        return try {
            answer.get()
        } catch (error: ExecutionException) {
            val cause = error.cause
            // Errors of this process are not the owner's.
            throw if (cause is Exception) failed(cause.message ?: "$cause", cause) else error
        }
    }

    private fun failed(what: String, cause: Exception?) = UserError(
        "The app that has the picked file does not give it: $what.",
        "Copy the file to this device, then pick it again.",
        cause,
    )

    private inner class Content(private val stream: InputStream) : InputStream() {
        private val block = ByteArray(BLOCK_BYTES)

        override fun read(): Int {
            val one = ByteArray(1)
            return if (read(one, 0, 1) < 0) -1 else one[0].toInt() and 0xff
        }

        override fun read(target: ByteArray, offset: Int, length: Int): Int {
            if (length == 0) return 0
            // Into a block of its own: what comes after a cancellation must not be seen.
            val count = ask { stream.read(block, 0, minOf(length, BLOCK_BYTES)) }
            if (count > 0) block.copyInto(target, offset, 0, count)
            return count
        }
    }

    private companion object {
        const val BLOCK_BYTES = 1 shl 18
    }
}
