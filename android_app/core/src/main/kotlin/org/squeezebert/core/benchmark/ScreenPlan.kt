package org.squeezebert.core.benchmark

/** The plan of the Benchmark screen: [choices] in the order in which they take turns. */
fun planFor(
    choices: List<Choice>,
    lengths: List<Int>,
    threads: Int,
    settings: Settings,
): BenchmarkPlan = throw UnsupportedOperationException("$choices $lengths $threads $settings")
