package org.squeezebert.core.benchmark

import kotlin.math.abs
import kotlin.math.sqrt

/** An output as records tell it: its shape, and every so many-th value in row-major order. */
class Output(val shape: List<Long>, val values: DoubleArray)

/** The outputs of one inference by name, in the model's order. */
typealias Outputs = Map<String, Output>

/** Outputs beside those of another model: null where they cannot be compared. */
internal class Agreement(val cosine: Double?, val largestDifference: Double?)

/**
 * Distance of the values relative to the expected ones' size (L2 norms), where it is largest.
 *
 * Infinite where names or shapes differ, or values are missing. As in right_answers.py.
 */
internal fun distance(found: Outputs, expected: Outputs): Double {
    if (found.keys != expected.keys) return Double.POSITIVE_INFINITY
    return expected.maxOfOrNull { (name, right) ->
        val left = found.getValue(name)
        if (left.shape != right.shape || left.values.size != right.values.size) {
            Double.POSITIVE_INFINITY
        } else {
            val apart = DoubleArray(left.values.size) { left.values[it] - right.values[it] }
            norm(apart) / maxOf(norm(right.values), 1e-30)
        }
    } ?: 0.0
}

/** Each artifact with the reference of its bundle: its first fp32 artifact, else its first. */
internal fun comparisons(entries: List<PlanEntry>): List<Pair<PlanEntry, PlanEntry>> =
    entries.groupBy { it.bundle }.values.flatMap { members ->
        val reference = members.firstOrNull { it.artifact.precision == "fp32" } ?: members.first()
        members.filter { it !== reference }.map { it to reference }
    }

/** Cosine and largest difference over the values of all outputs that both have. */
internal fun agreement(ours: Outputs, theirs: Outputs): Agreement {
    val names = theirs.keys.filter { it in ours }
    val left = names.flatMap { ours.getValue(it).values.toList() }.toDoubleArray()
    val right = names.flatMap { theirs.getValue(it).values.toList() }.toDoubleArray()
    if (names.isEmpty() || left.size != right.size) return Agreement(null, null)
    val difference = left.indices.maxOfOrNull { abs(left[it] - right[it]) } ?: 0.0
    val norms = norm(left) * norm(right)
    val product = left.indices.sumOf { left[it] * right[it] }
    return Agreement(if (norms > 0) product / norms else null, difference)
}

private fun norm(values: DoubleArray): Double = sqrt(values.sumOf { it * it })
