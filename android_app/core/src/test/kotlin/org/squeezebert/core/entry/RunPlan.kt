package org.squeezebert.core.entry

import java.io.File
import org.squeezebert.core.UserError
import org.squeezebert.core.benchmark.Benchmark
import org.squeezebert.core.benchmark.FakeEngine
import org.squeezebert.core.benchmark.FakePhone
import org.squeezebert.core.benchmark.REFERENCE_NANOS
import org.squeezebert.core.benchmark.RecordFile
import org.squeezebert.core.engine.Tensor

/**
 * What the app does with a run, on a made-up phone and engine: ROOT STATE RUN PACKAGE.
 *
 * Below ROOT lies the phone's storage. Without arguments it prints what the app says of itself.
 * Where STATE/app/die-after holds a number the process ends after so many inferences.
 */
fun main(arguments: Array<String>) {
    val phone = FakePhone()
    val engine = FakeEngine(phone)
    if (arguments.isEmpty()) {
        println(about(phone, listOf(engine)))
        return
    }
    val shared = File(arguments[0], "sdcard/Android/data/org.squeezebert.app/files/benchmark")
    val run = PlanFolder.of(arguments[2], shared, File(arguments[0], "data/own"))
    val limit = File(arguments[1], "app/die-after").takeIf { it.exists() }?.readText()?.toInt()
    try {
        val plan = run.plan()
        run.tell(RunState.running(null))
        val folders = run.copyModels(plan) { false }
        val owners = plan.entries.associateBy {
            File(folders(it.id), it.artifact.files.first().path)
        }
        engine.nanos = { model, input ->
            check(model.isFile)
            input.length * 20_000L * (1 + plan.entries.indexOf(owners.getValue(model)))
        }
        engine.answer = { model, input ->
            if (engine.inferences == limit) Runtime.getRuntime().halt(1)
            owners.getValue(model).expected?.getValue(input.length).orEmpty().map { (name, it) ->
                val values = FloatArray(it.values.size) { index -> it.values[index].toFloat() }
                Tensor(name, it.shape.toLongArray(), values)
            }
        }
        val file = RecordFile(run.records)
        val tell = { state: RunState -> run.tell(state) }
        Benchmark(
            plan, phone, listOf(engine), folders, file::append, { tell(RunState.running(it)) },
            { false },
        ).run(file.read()) { phone.compute(REFERENCE_NANOS) }
        run.tell(RunState("done"))
    } catch (error: UserError) {
        run.tell(RunState("failed", problem = error))
    } finally {
        run.removeCopies()
    }
}
