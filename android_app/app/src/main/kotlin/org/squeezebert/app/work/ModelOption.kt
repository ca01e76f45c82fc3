package org.squeezebert.app.work

import java.io.File
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.Bundle
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Engine

/** Names one artifact on this device: the id of its [bundle], and its path there. */
data class ModelId(val bundle: String, val artifact: String)

/**
 * A model that can be chosen.
 *
 * @property engine what opens it; null where this app has nothing for its target.
 * @property missing why it cannot be opened here; null where it can.
 */
class ModelOption(
    val id: ModelId,
    val bundle: Bundle,
    val artifact: Artifact,
    val engine: Engine?,
    val missing: UserError?,
) {
    /** Whether its answers can be shown: a classifier of whole texts with labels. */
    val classifies: Boolean
        get() = bundle.model.task == CLASSIFIER && bundle.labels.isNotEmpty()

    /** Its main file. */
    val file: File get() = File(bundle.folder, artifact.path)

    private companion object {
        /** The exporter's word; a token classifier has labels, too. */
        const val CLASSIFIER = "sequence-classification"
    }
}

/** The models of [bundle], which is installed as [bundleId], and what [engines] say of each. */
internal fun optionsOf(
    bundleId: String,
    bundle: Bundle,
    engines: List<Pair<Engine, Availability>>,
): List<ModelOption> = bundle.artifacts.map { artifact ->
    val (engine, state) = engines.firstOrNull { (engine, _) -> engine.target == artifact.target }
        ?: (null to null)
    val missing = when (state) {
        is Availability.Available -> null
        is Availability.Missing -> state.why
        null -> UserError(
            "This app has no engine for the target ${artifact.target}.",
            "Choose a model of another target.",
        )
    }
    ModelOption(ModelId(bundleId, artifact.path), bundle, artifact, engine, missing)
}
