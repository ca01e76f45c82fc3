package org.squeezebert.core.engine

import org.squeezebert.core.bundle.Artifact

/** A runtime holds the weights up to twice: as read, and packed for the kernels. */
const val MEMORY_FACTOR = 2.5

/** About how many bytes of memory [artifact] takes while it is open. */
fun neededMemoryBytes(artifact: Artifact): Long =
    (artifact.files.sumOf { it.bytes } * MEMORY_FACTOR).toLong()
