package org.squeezebert.core.benchmark

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.pow
import kotlin.math.sqrt

/**
 * Quantile of Student's t, by bisection on its density's integral, as in statistics.py.
 *
 * [probability] in (0.5, 1). Accurate to 1e-6 or better for [degrees] >= 3 and [probability] <=
 * 0.995: the density is integrated with Simpson's rule in 2000 steps.
 */
internal fun studentQuantile(probability: Double, degrees: Int): Double {
    val norm = exp(logGammaOfHalf(degrees + 1) - logGammaOfHalf(degrees)) / sqrt(degrees * PI)
    fun density(at: Double) = norm * (1 + at * at / degrees).pow(-(degrees + 1) / 2.0)
    fun aboveHalf(upper: Double): Double {
        val steps = 2000
        var sum = density(0.0) + density(upper)
        for (index in 1 until steps) {
            sum += (if (index % 2 == 1) 4 else 2) * density(upper * index / steps)
        }
        return sum * upper / (3 * steps)
    }
    var low = 0.0
    var high = 100.0
    repeat(60) {
        val middle = (low + high) / 2
        if (aboveHalf(middle) < probability - 0.5) low = middle else high = middle
    }
    return (low + high) / 2
}

/** The standard normal distribution below [value], by its series (Marsaglia 2004), |value| < 6. */
internal fun normalDistribution(value: Double): Double {
    var sum = value
    var term = value
    var odd = 1
    while (abs(term) > 1e-17 * abs(sum)) {
        odd += 2
        term *= value * value / odd
        sum += term
    }
    return 0.5 + sum * exp(-value * value / 2) / sqrt(2 * PI)
}

/** Logarithm of the gamma function at half of [twice], by its recurrence. */
private fun logGammaOfHalf(twice: Int): Double {
    var at = if (twice % 2 == 0) 1.0 else 0.5
    var sum = if (twice % 2 == 0) 0.0 else ln(PI) / 2
    while (at < twice / 2.0) {
        sum += ln(at)
        at += 1
    }
    return sum
}
