package org.squeezebert.core.benchmark

import kotlin.math.exp
import kotlin.math.ln1p
import kotlin.math.min
import kotlin.math.sqrt

/**
 * The random numbers of NumPy's `default_rng(seed)`: the same sequence, bit by bit.
 *
 * So that the token ids that a phone measures with, and the intervals that it shows, are those that
 * runtime_bench makes of the same seed and the same records. PCG64 (XSL-RR, 128 bits of state;
 * O'Neill 2014, HMC-CS-2014-0905), seeded by NumPy's SeedSequence.
 */
internal class RandomNumbers(vararg seed: Int) {
    private var high = 0L
    private var low = 0L
    private var incrementHigh: Long
    private var incrementLow: Long
    private var buffered: Int? = null

    init {
        val words = seedWords(seed)
        incrementHigh = (words[2] shl 1) or (words[3] ushr 63)
        incrementLow = (words[3] shl 1) or 1
        step()
        add(words[0], words[1])
        step()
    }

    /** Uniform over all 64-bit numbers. */
    fun nextLong(): Long {
        step()
        return java.lang.Long.rotateRight(high xor low, (high ushr 58).toInt())
    }

    /** Uniform in [0, 1). */
    fun nextDouble(): Double = (nextLong() ushr 11) * (1.0 / (1L shl 53))

    /** [count] integers, uniform in [0, [bound]): NumPy's `integers(0, bound, count)`. */
    fun integers(bound: Int, count: Int): IntArray {
        val threshold = (1L shl 32) % bound
        return IntArray(count) {
            var product: Long
            do {
                product = (nextInt().toLong() and WORD) * bound
            } while ((product and WORD) < threshold)
            (product ushr 32).toInt()
        }
    }

    /** How often each of [count] things is drawn in [count] draws: NumPy's `multinomial`. */
    fun resample(count: Int): IntArray {
        val drawn = IntArray(count)
        val share = 1.0 / count
        var left = count
        var remaining = 1.0
        for (index in 0 until count - 1) {
            drawn[index] = binomial(left, share / remaining)
            left -= drawn[index]
            if (left <= 0) return drawn
            remaining -= share
        }
        drawn[count - 1] = left
        return drawn
    }

    /** By inversion. (NumPy takes another way above a mean of 30, which resampling never has.) */
    private fun binomial(trials: Int, probability: Double): Int =
        if (probability <= 0.5) inverted(trials, probability)
        else trials - inverted(trials, 1.0 - probability)

    private fun inverted(trials: Int, probability: Double): Int {
        val other = 1.0 - probability
        val none = exp(trials * ln1p(-probability))
        val mean = trials * probability
        val bound = min(trials.toDouble(), mean + 10.0 * sqrt(mean * other + 1)).toInt()
        var found = 0
        var density = none
        var drawn = nextDouble()
        while (drawn > density) {
            found++
            if (found > bound) {
                found = 0
                density = none
                drawn = nextDouble()
            } else {
                drawn -= density
                density = ((trials - found + 1) * probability * density) / (found * other)
            }
        }
        return found
    }

    /** The halves of a 64-bit number, the lower first. */
    private fun nextInt(): Int {
        buffered?.let {
            buffered = null
            return it
        }
        val next = nextLong()
        buffered = (next ushr 32).toInt()
        return next.toInt()
    }

    private fun step() {
        val product = upperHalf(low, MULTIPLIER_LOW) + high * MULTIPLIER_LOW + low * MULTIPLIER_HIGH
        low *= MULTIPLIER_LOW
        high = product
        add(incrementHigh, incrementLow)
    }

    private fun add(otherHigh: Long, otherLow: Long) {
        val sum = low + otherLow
        val carry = if ((sum xor Long.MIN_VALUE) < (low xor Long.MIN_VALUE)) 1 else 0
        high += otherHigh + carry
        low = sum
    }

    private companion object {
        const val WORD = 0xFFFFFFFFL
        const val MULTIPLIER_HIGH = 0x2360ED051FC65DA4L
        const val MULTIPLIER_LOW = 0x4385DF649FCCF645L

        /** Bits 64 to 127 of the product of two unsigned numbers. */
        fun upperHalf(left: Long, right: Long): Long {
            val leftHigh = left ushr 32
            val leftLow = left and WORD
            val rightHigh = right ushr 32
            val rightLow = right and WORD
            val lower = leftLow * rightLow
            val first = leftHigh * rightLow + (lower ushr 32)
            val second = leftLow * rightHigh + (first and WORD)
            return leftHigh * rightHigh + (first ushr 32) + (second ushr 32)
        }

        /** SeedSequence(seed).generate_state(4, uint64), with its constants. */
        fun seedWords(seed: IntArray): LongArray {
            val pool = IntArray(4)
            var constant = 0x43B0D7E5
            fun hashed(value: Int): Int {
                val mixed = value xor constant
                constant *= 0x931E8875.toInt()
                return folded(mixed * constant)
            }
            require(seed.size <= pool.size) { "at most ${pool.size} numbers" }
            for (index in pool.indices) pool[index] = hashed(seed.getOrElse(index) { 0 })
            for (source in pool.indices) {
                for (target in pool.indices) {
                    if (source == target) continue
                    val other = hashed(pool[source])
                    pool[target] = folded(
                        pool[target] * 0xCA01F9DD.toInt() - other * 0x4973F715,
                    )
                }
            }
            constant = 0x8B51F9DD.toInt()
            val words = IntArray(8) {
                val mixed = pool[it % pool.size] xor constant
                constant *= 0x58F38DED
                folded(mixed * constant)
            }
            return LongArray(4) {
                (words[2 * it].toLong() and WORD) or (words[2 * it + 1].toLong() shl 32)
            }
        }

        fun folded(value: Int): Int = value xor (value ushr 16)
    }
}
