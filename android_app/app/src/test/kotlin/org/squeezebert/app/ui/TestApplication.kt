package org.squeezebert.app.ui

import android.app.ActivityManager
import android.content.Intent
import android.os.Handler
import android.os.Looper
import java.io.File
import java.util.concurrent.Executor
import java.util.concurrent.Executors
import org.robolectric.Shadows.shadowOf
import org.squeezebert.app.DemoApplication
import org.squeezebert.app.Workplace
import org.squeezebert.app.engines.engines
import org.squeezebert.app.work.ShippedBundles
import org.squeezebert.core.benchmark.Settings
import org.squeezebert.core.engine.Engine

/** The app on a phone that tests can set up, with the real engines and the real demo bundles. */
class TestApplication : DemoApplication() {
    /** Short rounds: what is measured here is of no interest. */
    var makeSettings = {
        Settings(
            blocks = 2,
            mostBlocks = 2,
            secondsPerBlock = 0.02,
            minimumIterations = 2,
            warmUpLimit = 0.05,
        )
    }

    override val settings get() = makeSettings()

    /** What came through the guarded entry. */
    val entered = mutableListOf<Intent>()

    override fun enter(intent: Intent) {
        entered += intent
    }

    /** What the next [workplace] is made with. */
    var engines: List<Engine>? = null
    var shipped: () -> ShippedBundles = ::demoBundles

    override var workplace: Workplace
        get() = current ?: makeWorkplace().also { current = it }
        set(value) {
            current = value
        }

    private var current: Workplace? = null

    override fun onCreate() {
        super.onCreate()
        val memory = ActivityManager.MemoryInfo().apply {
            availMem = FREE_BYTES
            totalMem = ALL_BYTES
        }
        shadowOf(getSystemService(ActivityManager::class.java)).setMemoryInfo(memory)
    }

    /** Forgets everything that is not on disk, as a process that ends does. */
    fun dieAndReturn() {
        current = null
    }

    override fun makeWorkplace(): Workplace {
        val mainThread = Handler(Looper.getMainLooper())
        return Workplace(
            filesDir,
            engines ?: engines(this),
            FakePhone(),
            threads = 2,
            shipped,
            Executors.newSingleThreadExecutor { Thread(it, "work").apply { isDaemon = true } },
            Executor(mainThread::post),
        )
    }

    private companion object {
        const val FREE_BYTES = 4_000_000_000L
        const val ALL_BYTES = 8_000_000_000L
    }
}

/** The bundles of the property `bundles`: folders, with commas between them. */
internal fun demoFolders(): List<File> =
    System.getProperty("bundles").orEmpty().split(',').map(::File).onEach {
        check(File(it, "manifest.json").exists()) {
            "There is no bundle in $it. Make it with: make apk, or name others by -Dbundles=DIR,DIR"
        }
    }

private fun demoBundles(): ShippedBundles = demoFolders().associate { folder ->
    folder.name to folder.walk().filter { it.isFile }
        .associate { it.relativeTo(folder).path to { it.inputStream() } }
}
