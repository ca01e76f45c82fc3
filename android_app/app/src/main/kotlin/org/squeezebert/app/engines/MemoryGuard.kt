package org.squeezebert.app.engines

import java.io.File
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.engine.Engine
import org.squeezebert.core.engine.Model
import org.squeezebert.core.engine.neededMemoryBytes

/** [engine], but a model too large for [freeBytes] is refused before the system ends the app. */
class MemoryGuard(private val engine: Engine, private val freeBytes: () -> Long) :
    Engine by engine {
    override fun open(file: File, artifact: Artifact, threads: Int): Model {
        val needed = neededMemoryBytes(artifact)
        val free = freeBytes()
        if (needed > free) {
            throw UserError(
                "${artifact.path} needs about ${megabytes(needed)} MB of memory; " +
                    "${megabytes(free)} MB are free.",
                "Close other apps, or choose a smaller model.",
            )
        }
        return engine.open(file, artifact, threads)
    }
}

private fun megabytes(bytes: Long): Long = bytes / 1_000_000
