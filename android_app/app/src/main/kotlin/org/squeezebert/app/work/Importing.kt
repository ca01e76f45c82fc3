package org.squeezebert.app.work

import java.io.InputStream
import java.util.concurrent.CancellationException
import java.util.concurrent.atomic.AtomicBoolean
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.BundleStore

/** What became of the last import. */
sealed interface ImportState {
    data object None : ImportState

    /** [bytes] are read of the zip file called [name]; null until its owner has told that. */
    data class Running(
        val name: String?,
        val bytes: Long,
        val cancelling: Boolean = false,
    ) : ImportState

    /** [replaced]: whether a bundle of the same name was there before. */
    data class Done(val name: String, val replaced: Boolean) : ImportState

    data class Failed(val error: UserError) : ImportState
}

/**
 * A zip file that somebody else owns, who may take any time. All but [cancel] is called on the
 * background thread and throws [UserError] where the owner fails.
 */
interface ImportSource : AutoCloseable {
    /** What the file is called. */
    fun name(): String

    /** Its content; called once. */
    fun open(): InputStream

    /** From any thread: whoever waits for the owner gets a [CancellationException] at once. */
    fun cancel()

    override fun close()
}

/**
 * The one import that may run. For the main thread; every change is told to [changed]. [ended] is
 * called after each import, to list the bundles anew on [background].
 */
class Importing(
    private val store: BundleStore,
    private val background: Background,
    private val changed: () -> Unit,
    private val ended: () -> Unit,
) {
    var state: ImportState = ImportState.None
        private set

    private var source: ImportSource? = null

    // The background thread looks whether the import still is wanted.
    private val cancelled = AtomicBoolean()

    /**
     * Brings in the bundle of [source], under the name of its file; the bundle of that name is
     * replaced. False while another one is brought in.
     */
    fun start(source: ImportSource): Boolean {
        if (state is ImportState.Running) return false
        this.source = source
        cancelled.set(false)
        become(ImportState.Running(null, 0))
        background.run({ source.use(::bringIn) }) { result ->
            val end = result.getOrElse {
                if (cancelled.get()) ImportState.None else ImportState.Failed(it as UserError)
            }
            ended()
            // Behind what that lists anew: until then, models that were replaced are offered.
            background.run({}) { become(end) }
        }
        return true
    }

    /** Ends the import; nothing is changed then, unless it was done by that time. */
    fun cancel() {
        val running = state as? ImportState.Running ?: return
        cancelled.set(true)
        source?.cancel()
        become(running.copy(cancelling = true))
    }

    /** Shows why no import came about. One that goes on stays. */
    fun refuse(error: UserError) {
        if (state !is ImportState.Running) become(ImportState.Failed(error))
    }

    private fun bringIn(source: ImportSource): ImportState {
        val name = source.name()
        tell(name, 0)
        val before = store.root.list().orEmpty().toSet()
        var told = 0L
        val bundle = source.open().use { stream ->
            store.importZip(stream, name) { bytes ->
                if (cancelled.get()) throw CancellationException()
                if (bytes - told >= PROGRESS_STEP) {
                    told = bytes
                    tell(name, bytes)
                }
            }
        }
        return ImportState.Done(bundle.name, replaced = bundle.folder.name in before)
    }

    private fun tell(name: String, bytes: Long) = background.tell {
        val running = state as? ImportState.Running ?: return@tell
        become(running.copy(name = name, bytes = bytes))
    }

    private fun become(next: ImportState) {
        state = next
        if (next !is ImportState.Running) source = null
        changed()
    }

    private companion object {
        /** Bytes between two reports, so that the main thread is not flooded. */
        const val PROGRESS_STEP = 262_144L
    }
}
