package org.squeezebert.core.benchmark

import kotlin.math.floor
import kotlin.math.sqrt

/** Samples by round, so that blocks that were measured side by side can be paired. */
internal typealias Samples = Map<Int, DoubleArray>

internal const val CONFIDENCE = 0.95
internal const val RESAMPLES = 2000

/** With fewer rounds no interval is given: it would promise more than it holds (statistics.py). */
internal const val MINIMUM_ROUNDS = 6

/**
 * Median of the baseline divided by that of the subject: above 1 the subject is faster.
 *
 * [low] and [high] are the ends of the 95 % interval, null with too few rounds for one. [verdict]
 * is "faster" or "slower" where the interval excludes 1, otherwise "undecided".
 */
class Ratio(val value: Double, val low: Double?, val high: Double?, val verdict: String)

/**
 * Ratio of medians over the rounds that both have; null without a common one.
 *
 * The interval is that of runtime_bench/statistics.py, number by number: whole rounds are
 * resampled, both sides take the same ones, and the percentile interval is expanded as a t interval
 * is wider than a normal one.
 */
internal fun ratio(baseline: Samples, subject: Samples, seed: Int = 0): Ratio? {
    val rounds = baseline.keys.intersect(subject.keys).sorted()
    if (rounds.isEmpty()) return null
    val above = Pool(rounds.map(baseline::getValue))
    val below = Pool(rounds.map(subject::getValue))
    val once = IntArray(rounds.size) { 1 }
    val value = above.median(once) / below.median(once)
    if (rounds.size < MINIMUM_ROUNDS) return Ratio(value, null, null, "undecided")
    val random = RandomNumbers(seed)
    val ratios = DoubleArray(RESAMPLES) {
        val weights = random.resample(rounds.size)
        above.median(weights) / below.median(weights)
    }
    ratios.sort()
    val count = rounds.size.toDouble()
    val student = studentQuantile((1 + CONFIDENCE) / 2, rounds.size - 1)
    val tail = normalDistribution(-sqrt(count / (count - 1)) * student)
    val low = quantile(ratios, tail)
    val high = quantile(ratios, 1 - tail)
    val verdict = if (low > 1) "faster" else if (high < 1) "slower" else "undecided"
    return Ratio(value, low, high, verdict)
}

/** The [share] quantile of [sorted] values, linear between neighbours as in NumPy. */
internal fun quantile(sorted: DoubleArray, share: Double): Double {
    val place = share * (sorted.size - 1)
    val below = floor(place).toInt()
    val above = minOf(below + 1, sorted.size - 1)
    val part = place - below
    val step = sorted[above] - sorted[below]
    return if (part < 0.5) sorted[below] + step * part else sorted[above] - step * (1 - part)
}

/** The middle value, or the mean of both. [values] are not changed, and not empty. */
internal fun median(values: LongArray): Double {
    val sorted = values.sortedArray()
    val half = sorted.size / 2
    return if (sorted.size % 2 == 1) sorted[half].toDouble()
    else (sorted[half - 1] + sorted[half]) / 2.0
}

/** Samples of several blocks, sorted once, whose median is asked for many weightings. */
private class Pool(blocks: List<DoubleArray>) {
    private val values: DoubleArray
    private val owners: IntArray
    private val sizes = IntArray(blocks.size) { blocks[it].size }

    init {
        val pooled = blocks.flatMapIndexed { owner, block -> block.map { it to owner } }
            .sortedBy { it.first }
        values = DoubleArray(pooled.size) { pooled[it].first }
        owners = IntArray(pooled.size) { pooled[it].second }
    }

    /** A weight counts every sample of its block that often. */
    fun median(weights: IntArray): Double {
        val total = sizes.indices.sumOf { sizes[it].toLong() * weights[it] }
        var running = 0L
        var lower = -1
        for (index in values.indices) {
            running += weights[owners[index]]
            if (lower < 0 && 2 * running >= total) lower = index
            if (2 * running > total) return (values[lower] + values[index]) / 2
        }
        error("a median of nothing")
    }
}
