package org.squeezebert.core.benchmark

/**
 * The work that tells how fast the phone is: one fp32 matrix product in plain Kotlin, one thread.
 *
 * It measures no peak, and is no entry of the results: it is no match for a runtime's kernels. It
 * takes about the same time as long as the phone is as fast as before. No round is judged by it.
 */
internal class Reference(
    private val phone: Phone,
    private val work: () -> Unit,
    private val checkCancelled: () -> Unit,
) {
    private var warm = false

    /** The median time of one product in nanoseconds, after a lead-in as before every block. */
    fun measure(): Long {
        if (!warm) {
            // The first runs are interpreted, and compiled while they run.
            val times = mutableListOf<Long>()
            val limit = phone.nanoTime() + nanoseconds(WARM_UP_LIMIT_SECONDS)
            val enough = phone.nanoTime() + nanoseconds(WARM_UP_SECONDS)
            while (phone.nanoTime().let { it < limit && !(it >= enough && isSteady(times)) }) {
                times += timed()
            }
            warm = true
        }
        runFor(LEAD_IN_SECONDS)
        return median(runFor(SECONDS).toLongArray()).toLong()
    }

    private fun runFor(seconds: Double): List<Long> {
        val times = mutableListOf<Long>()
        val end = phone.nanoTime() + nanoseconds(seconds)
        while (times.size < MINIMUM_RUNS || phone.nanoTime() < end) times += timed()
        return times
    }

    private fun timed(): Long {
        checkCancelled()
        val start = phone.nanoTime()
        work()
        return phone.nanoTime() - start
    }

    private companion object {
        const val MINIMUM_RUNS = 3
        const val SECONDS = 0.1
        const val WARM_UP_LIMIT_SECONDS = 3.0
    }
}

/** An fp32 matrix product of fixed numbers. */
internal class MatrixProduct {
    private val left = FloatArray(ROWS * INNER) { (it % 7 - 3) / 8f }
    private val right = FloatArray(INNER * COLUMNS) { (it % 5 - 2) / 8f }
    private val product = FloatArray(ROWS * COLUMNS)

    fun multiply() {
        product.fill(0f)
        for (row in 0 until ROWS) {
            for (inner in 0 until INNER) {
                val factor = left[row * INNER + inner]
                for (column in 0 until COLUMNS) {
                    product[row * COLUMNS + column] += factor * right[inner * COLUMNS + column]
                }
            }
        }
    }

    private companion object {
        // 8.4 million multiply-adds on 0.5 MB: long beside a clock's tick, short beside a block.
        const val ROWS = 128
        const val INNER = 256
        const val COLUMNS = 256
    }
}

/** Seconds as whole nanoseconds. */
internal fun nanoseconds(seconds: Double): Long = (seconds * NANOSECONDS_PER_SECOND).toLong()
