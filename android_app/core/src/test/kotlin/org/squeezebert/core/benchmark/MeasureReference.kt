package org.squeezebert.core.benchmark

import kotlin.system.measureNanoTime

/** Prints times of the reference product as the JVM warms up, and of an interval. */
fun main() {
    val product = MatrixProduct()
    val times = List(300) { measureNanoTime(product::multiply) / 1e6 }
    for (count in listOf(1, 2, 5, 10, 30, 100, 300)) {
        println("%3d runs: the last %.2f ms".format(count, times[count - 1]))
    }
    println("steady: %.2f to %.2f ms".format(times.drop(200).min(), times.drop(200).sorted()[90]))
    val random = RandomNumbers(1)
    val samples = List(2) {
        (0 until 20).associateWith { DoubleArray(100) { 5 + random.nextDouble() } }
    }
    repeat(5) {
        val nanos = measureNanoTime { ratio(samples[0], samples[1]) }
        println("interval of 20 rounds of 100 samples: %.0f ms".format(nanos / 1e6))
    }
}
