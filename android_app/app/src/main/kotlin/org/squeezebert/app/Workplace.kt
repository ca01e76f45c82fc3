package org.squeezebert.app

import java.io.File
import java.util.concurrent.Executor
import org.squeezebert.app.work.Background
import org.squeezebert.app.work.Benchmarking
import org.squeezebert.app.work.Classification
import org.squeezebert.app.work.Models
import org.squeezebert.app.work.ShippedBundles
import org.squeezebert.core.benchmark.Phone
import org.squeezebert.core.bundle.BundleStore
import org.squeezebert.core.engine.Engine

/**
 * What outlives the Activity: the installed models, the one that is open, the benchmark that runs,
 * and their results. There is one a process; everything is called on the main thread.
 *
 * @param files the app's folder for files.
 * @property threads how many compute an inference of the Classify screen.
 * @param worker one background thread.
 */
class Workplace(
    files: File,
    val engines: List<Engine>,
    val phone: Phone,
    val threads: Int,
    shipped: () -> ShippedBundles,
    worker: Executor,
    mainThread: Executor,
) {
    private val listeners = mutableSetOf<() -> Unit>()
    private val background = Background(worker, mainThread)
    private val store = BundleStore(File(files, "bundles"))

    val models = Models(store, engines, background, ::tellAll)

    val classification = Classification(threads, background, ::tellAll)

    val benchmarking = Benchmarking(
        File(files, BENCHMARK_FOLDER),
        { store.open(it).folder },
        phone,
        engines,
        background,
        classification::close,
        ::tellAll,
    )

    init {
        models.start(shipped)
        benchmarking.start()
    }

    /** Calls [listener] after every change, until it is removed. */
    fun addListener(listener: () -> Unit) {
        listeners += listener
    }

    fun removeListener(listener: () -> Unit) {
        listeners -= listener
    }

    /** Deletes a bundle; its model is closed before. */
    fun remove(bundleId: String) {
        classification.close()
        models.remove(bundleId)
    }

    private fun tellAll() = listeners.toList().forEach { it() }

    companion object {
        /** Where results lie, in the app's folder for files. */
        const val BENCHMARK_FOLDER = "benchmark"
    }
}
