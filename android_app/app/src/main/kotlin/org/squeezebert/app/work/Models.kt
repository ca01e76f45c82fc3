package org.squeezebert.app.work

import java.io.InputStream
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.BundleStore
import org.squeezebert.core.bundle.Installed
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine

/** The files of bundles that came with the app: name of the bundle -> path -> content. */
typealias ShippedBundles = Map<String, Map<String, () -> InputStream>>

/**
 * The installed bundles and the models in them. For the main thread; every change is told to
 * [changed].
 */
class Models(
    private val store: BundleStore,
    private val knownEngines: List<Engine>,
    private val background: Background,
    private val changed: () -> Unit,
) {
    /** Every bundle, broken ones with their problem. */
    var installed: List<Installed> = emptyList()
        private set

    /** Every model of every bundle that can be read. */
    var options: List<ModelOption> = emptyList()
        private set

    /** What every engine says of itself on this device. */
    var engines: List<Pair<Engine, Availability>> = emptyList()
        private set

    /** Whether the first look at the storage is over. */
    var ready = false
        private set

    /** Why the bundles that came with the app could not be installed; null where they were. */
    var problem: UserError? = null
        private set

    /** Brings in bundles that the user picks. */
    val importing = Importing(store, background, changed, ::list)

    /** Installs [shipped] bundles that are not there yet, then lists what there is. */
    fun start(shipped: () -> ShippedBundles) {
        background.run({ shipped().forEach { (name, files) -> store.install(name, files) } }) {
            problem = it.userError()
        }
        list()
    }

    /** The model of this [id]; null where it is not there any more. */
    fun option(id: ModelId?): ModelOption? = options.firstOrNull { it.id == id }

    /** Deletes the bundle. Its model must not be open any more. */
    fun remove(bundleId: String) {
        background.run({ store.remove(bundleId) }) { result ->
            problem = result.userError()
            list()
        }
    }

    private fun list() {
        background.run({
            val states = knownEngines.map { it to it.availability() }
            val found = store.list()
            val models = found.flatMap { one ->
                one.bundle?.let { optionsOf(one.id, it, states) }.orEmpty()
            }
            Triple(states, found, models)
        }) { result ->
            result.onSuccess { (states, found, models) ->
                engines = states
                installed = found
                options = models
            }
            problem = problem ?: result.userError()
            ready = true
            changed()
        }
    }
}
