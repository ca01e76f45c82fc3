package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonObject
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.Bundle
import org.squeezebert.core.engine.Tokens

/** The schema of a plan file: runtime_bench/schema/app_plan.schema.json. */
const val PLAN_SCHEMA = "squeezebert-app-plan/1"

/**
 * Everything that a run does, fixed before it starts.
 *
 * @property command what the user asked for, for the record.
 * @property device name of the device, for the record: app:SERIAL, or "app" for this phone itself.
 * @property warnings what spoke against measuring when the plan was made, as a run record has them.
 * @property notices what was left out of the plan, and why.
 */
class BenchmarkPlan(
    val command: List<String>,
    val device: String,
    val entries: List<PlanEntry>,
    val lengths: List<Int>,
    val threads: List<Int>,
    val settings: Settings,
    val warnings: List<JsonObject>,
    val notices: List<String>,
) {
    /** Threads outermost (models stay open for all lengths), lengths ascending. */
    internal val cases: List<Case>
        get() = threads.flatMap { threads -> lengths.map { Case(it, threads) } }
}

/**
 * A model of the plan.
 *
 * @property roles "subject", "baseline", or both.
 * @property bundle the folder of its files: relative to the plan's own folder.
 * @property inputs what it is measured with, by length.
 * @property expected what it has to answer, by length; null: there is nothing to compare with.
 * @property tolerance largest distance from [expected], relative to its size.
 * @property document the entry of the run record.
 */
class PlanEntry(
    val id: String,
    val label: String,
    val roles: List<String>,
    val bundle: String,
    val artifact: Artifact,
    val inputs: Map<Int, Tokens>,
    val expected: Map<Int, Outputs>?,
    val tolerance: Double,
    val document: JsonObject,
) {
    internal val target: String get() = artifact.target
}

/** What is held fixed while the entries take turns. */
internal data class Case(val length: Int, val threads: Int)

/** A model that somebody chose on the Benchmark screen; a [baseline] is what others are held to. */
class Choice(val bundle: Bundle, val artifact: Artifact, val baseline: Boolean)
