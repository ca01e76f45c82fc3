package org.squeezebert.core.benchmark

import java.io.File
import org.squeezebert.core.bundle.readBundle

/** Prints the plan of the Benchmark screen for all artifacts: LENGTHS SUBJECT_BUNDLE BASELINE. */
fun main(arguments: Array<String>) {
    val lengths = arguments[0].split(',').map(String::toInt)
    val choices = arguments.drop(1).flatMapIndexed { index, folder ->
        val bundle = readBundle(File(folder))
        bundle.artifacts.map { Choice(bundle, it, baseline = index > 0) }
    }
    val plan = planFor(choices, lengths, 2, Settings(seed = 3))
    println(readPlan(plan.document().toString()).document())
}
