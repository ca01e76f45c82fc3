package org.squeezebert.core.benchmark

import java.io.File
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.add
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonArray
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.StoredFile
import org.squeezebert.core.bundle.TensorSpec
import org.squeezebert.core.engine.Tokens

/** A benchmark on a fake phone, with everything that it said and wrote. */
class FakeRun(val plan: BenchmarkPlan = fakePlan()) {
    val phone = FakePhone()
    val engine = FakeEngine(phone)
    val records = mutableListOf<JsonObject>()
    val progress = mutableListOf<Progress>()
    var cancelled: () -> Boolean = { false }
    var write: (JsonObject) -> Unit = {
        check(records.size < 10_000) { "a run without an end" }
        records += it
    }

    fun run(earlier: List<JsonObject> = emptyList()): Outcome {
        val folders = { id: String -> File("models", plan.entries.first { it.id == id }.bundle) }
        val said: (Progress) -> Unit = { progress += it }
        return Benchmark(plan, phone, listOf(engine), folders, { write(it) }, said, { cancelled() })
            .run(earlier) { phone.compute(REFERENCE_NANOS) }
    }

    fun of(kind: String): List<JsonObject> = records.filter { it.kind == kind }
}

/** Two models (a subject `e1` and a baseline `e2`) of two bundles, one file each. */
fun fakePlan(
    settings: Settings = Settings(blocks = 2, secondsPerBlock = 0.05),
    lengths: List<Int> = listOf(8),
    threads: List<Int> = listOf(1),
    expected: Outputs? = null,
): BenchmarkPlan = BenchmarkPlan(
    command = listOf("test"),
    device = "app:test",
    entries = listOf("e1" to "subject", "e2" to "baseline").map { (id, role) ->
        fakeEntry(id, role, lengths, expected)
    },
    lengths = lengths,
    threads = threads,
    settings = settings,
    warnings = emptyList(),
    notices = emptyList(),
)

/** A model whose only file has 1 MB. */
fun fakeEntry(
    id: String,
    role: String,
    lengths: List<Int>,
    expected: Outputs? = null,
    precision: String = "fp32",
    bundle: String = "bundle-$id",
): PlanEntry = PlanEntry(
    id = id,
    label = "model $id",
    roles = listOf(role),
    bundle = bundle,
    artifact = fakeArtifact(id, precision),
    inputs = lengths.associateWith { Tokens(IntArray(it) { 7 }, IntArray(it) { 1 }, IntArray(it)) },
    expected = expected?.let { outputs -> lengths.associateWith { outputs } },
    tolerance = EXACT_TOLERANCE,
    document = buildJsonObject {
        put("id", id)
        put("label", "model $id")
        putJsonArray("roles") { add(role) }
    },
)

private fun fakeArtifact(id: String, precision: String): Artifact {
    val file = StoredFile("$id.onnx", 1_000_000, "0".repeat(64))
    return Artifact(
        path = file.path,
        target = "onnx",
        flavour = "optimized",
        precision = precision,
        bytes = file.bytes,
        sha256 = file.sha256,
        fingerprint = null,
        files = listOf(file),
        inputs = listOf(TensorSpec("input_ids", "int64", listOf(1, -1))),
        outputs = listOf(TensorSpec("logits", "float32", listOf(1, 3))),
    )
}
