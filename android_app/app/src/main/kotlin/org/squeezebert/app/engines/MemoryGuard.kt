package org.squeezebert.app.engines

import java.io.File
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model

/** [engine], but a model larger than the free memory is refused before the system ends the app. */
class MemoryGuard(private val engine: Engine, private val freeBytes: () -> Long) :
    Engine by engine {
    override fun open(file: File, artifact: Artifact, threads: Int): Model {
        val free = freeBytes()
        if (artifact.bytes > free) {
            throw UserError(
                "${artifact.path} takes ${megabytes(artifact.bytes)} MB of memory; " +
                    "${megabytes(free)} MB are free.",
                "Close other apps, or choose a smaller model.",
            )
        }
        return engine.open(file, artifact, threads)
    }
}

private fun megabytes(bytes: Long): Long = bytes / 1_000_000
