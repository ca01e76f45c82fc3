package org.squeezebert.core.benchmark

import java.io.File
import kotlinx.serialization.json.JsonObject
import org.squeezebert.core.engine.Engine

/**
 * Measures what a plan asks for. Blocks the calling thread until it is done, or [cancelled].
 *
 * @param folders where the files of an entry (by its id) lie, under their manifest's paths.
 * @param write takes every record as it comes, the run record first; what it throws ends the run.
 * @param cancelled is asked between any two inferences.
 */
class Benchmark(
    private val plan: BenchmarkPlan,
    private val phone: Phone,
    private val engines: List<Engine>,
    private val folders: (entryId: String) -> File,
    private val write: (JsonObject) -> Unit,
    private val progress: (Progress) -> Unit,
    private val cancelled: () -> Boolean,
) {
    /** Measures what [earlier] (all records of a run that was interrupted) does not hold yet. */
    fun run(earlier: List<JsonObject> = emptyList()): Outcome =
        throw UnsupportedOperationException(
            "$plan $phone $engines $folders $write $progress $cancelled $earlier",
        )
}
