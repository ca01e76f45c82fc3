package org.squeezebert.app.ui

import java.io.InputStream
import java.util.concurrent.CountDownLatch

/** Never gives anything, as an app does that waits for its server, and heeds no interruption. */
internal class HangingStream : InputStream() {
    private val end = CountDownLatch(1)

    @Volatile
    var reading = false

    @Volatile
    var closed = false

    override fun read(): Int {
        reading = true
        while (true) {
            try {
                end.await()
                return -1
            } catch (_: InterruptedException) {
                continue
            }
        }
    }

    override fun read(target: ByteArray, offset: Int, length: Int) = read()

    override fun close() {
        closed = true
        end.countDown()
    }
}
