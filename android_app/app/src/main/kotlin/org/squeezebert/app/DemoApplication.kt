package org.squeezebert.app

import android.app.Application
import android.content.Intent
import android.content.res.AssetManager
import android.os.Handler
import android.os.Looper
import java.util.concurrent.Executor
import java.util.concurrent.Executors
import org.squeezebert.app.engines.engines
import org.squeezebert.app.entry.AndroidPhone
import org.squeezebert.app.entry.BenchmarkEntry
import org.squeezebert.app.work.ShippedBundles
import org.squeezebert.core.benchmark.Settings

/** Holds what lives as long as the process. */
open class DemoApplication : Application() {
    /** Made when the first Activity asks for it; only for the main thread. */
    open val workplace: Workplace by lazy(LazyThreadSafetyMode.NONE, ::makeWorkplace)

    /** How the Benchmark screen measures. */
    open val settings: Settings = Settings(pauseLimit = LONGEST_PAUSE)

    /** Starts what was asked for through the guarded entry. */
    open fun enter(intent: Intent) = BenchmarkEntry(this, workplace).handle(intent)

    protected open fun makeWorkplace(): Workplace {
        val phone = AndroidPhone(this)
        val mainThread = Handler(Looper.getMainLooper())
        return Workplace(
            filesDir,
            engines(this),
            phone,
            phone.clusters.recommendedThreads(),
            { shippedBundles(assets) },
            Executors.newSingleThreadExecutor { Thread(it, "work") },
            Executor(mainThread::post),
        )
    }

    private companion object {
        /** Seconds to wait for a phone that has become hot. */
        const val LONGEST_PAUSE = 60.0
    }
}

/** The bundles below assets/bundles, one folder each; none where the app was built without. */
internal fun shippedBundles(assets: AssetManager): ShippedBundles =
    filesBelow(assets, SHIPPED_FOLDER).map { it.removePrefix("$SHIPPED_FOLDER/") }
        .groupBy { it.substringBefore('/') }
        .mapValues { (name, paths) ->
            paths.associate { path ->
                path.removePrefix("$name/") to { assets.open("$SHIPPED_FOLDER/$path") }
            }
        }

/** The paths of all files; assets have no empty folders, so what is empty is a file. */
private fun filesBelow(assets: AssetManager, folder: String): List<String> =
    assets.list(folder).orEmpty().flatMap { name ->
        val path = "$folder/$name"
        filesBelow(assets, path).ifEmpty { listOf(path) }
    }

private const val SHIPPED_FOLDER = "bundles"
