package org.squeezebert.core.benchmark

import org.squeezebert.core.UserError

/** Reads a plan file's text. Throws [UserError] where it is none, or cannot be measured here. */
fun readPlan(json: String): BenchmarkPlan =
    throw UserError("${json.length} characters are no plan.", "Make it again.")
