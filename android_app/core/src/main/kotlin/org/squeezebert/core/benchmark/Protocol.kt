package org.squeezebert.core.benchmark

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonObject
import org.squeezebert.core.bundle.sha256
import org.squeezebert.core.engine.Tensor

// How a model is timed: the rules of runtime_bench/runners/protocol.py, whose reasons stand there.
internal const val OUTPUT_VALUES = 1024
internal const val WARM_UP_WINDOW = 3
internal const val WARM_UP_TOLERANCE = 0.05
internal const val WARM_UP_SECONDS = 0.3
internal const val LEAD_IN_SECONDS = 0.15

internal const val NANOSECONDS_PER_SECOND = 1e9

/** The warm-up rule: the last two windows' medians differ by at most WARM_UP_TOLERANCE. */
internal fun isSteady(wallNanos: List<Long>): Boolean {
    val count = wallNanos.size
    if (count < 2 * WARM_UP_WINDOW || count % WARM_UP_WINDOW != 0) return false
    val middle = count - WARM_UP_WINDOW
    val before = median(wallNanos.subList(middle - WARM_UP_WINDOW, middle).toLongArray())
    val after = median(wallNanos.subList(middle, count).toLongArray())
    return abs(after - before) <= WARM_UP_TOLERANCE * before
}

/** Of an output of [size] values every which one is told: at most OUTPUT_VALUES in all. */
internal fun outputStep(size: Int): Int = maxOf(1, (size + OUTPUT_VALUES - 1) / OUTPUT_VALUES)

/** The name of the first output that holds a value that is not finite; null: all are. */
internal fun notFinite(tensors: List<Tensor>): String? =
    tensors.firstOrNull { tensor -> tensor.values.any { !it.isFinite() } }?.name

/** The values that records tell of [tensors], which are finite. */
internal fun told(tensors: List<Tensor>): Outputs = tensors.associate { tensor ->
    val step = outputStep(tensor.values.size)
    val count = (tensor.values.size + step - 1) / step
    tensor.name to Output(
        tensor.shape.toList(),
        DoubleArray(count) { tensor.values[it * step].toDouble() },
    )
}

/** A warm-up record's `outputs`: shape, hash (of little-endian fp32) and values of every output. */
internal fun describeOutputs(tensors: List<Tensor>): JsonObject = buildJsonObject {
    val known = told(tensors)
    for (tensor in tensors) {
        putJsonObject(tensor.name) {
            put("shape", JsonArray(tensor.shape.map(::JsonPrimitive)))
            put("finite", true)
            put("sha256", sha256(tensor.values))
            put("values", JsonArray(known.getValue(tensor.name).values.map(::JsonPrimitive)))
        }
    }
}

private fun sha256(values: FloatArray): String {
    val bytes = ByteBuffer.allocate(4 * values.size).order(ByteOrder.LITTLE_ENDIAN)
    bytes.asFloatBuffer().put(values)
    return sha256(bytes.array().inputStream())
}
