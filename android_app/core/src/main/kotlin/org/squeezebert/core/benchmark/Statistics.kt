package org.squeezebert.core.benchmark

/**
 * Median of the baseline divided by that of the subject: above 1 the subject is faster.
 *
 * [low] and [high] are the ends of the 95 % interval, null with too few rounds for one. [verdict]
 * is "faster" or "slower" where the interval excludes 1, otherwise "undecided".
 */
class Ratio(val value: Double, val low: Double?, val high: Double?, val verdict: String)
