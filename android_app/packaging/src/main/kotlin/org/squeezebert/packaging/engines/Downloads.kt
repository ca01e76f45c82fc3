package org.squeezebert.packaging.engines

import java.io.File
import java.io.IOException
import org.squeezebert.packaging.PackagingError
import org.squeezebert.packaging.replace
import org.squeezebert.packaging.runCommand
import org.squeezebert.packaging.sha256

/**
 * Fetches through the clients that the machine has set up, so that their mirrors and proxies hold.
 *
 * [maven]: the program that runs this build, null to fetch nothing; [offline]: ask no server.
 */
class Downloads(
    private val maven: File?,
    private val offline: Boolean,
    private val say: (String) -> Unit,
) {
    /** The file of `group:artifact:version:type`, or null where no repository has it. */
    fun fromMaven(coordinates: String, folder: File): File? {
        val (_, artifact, version, type) = coordinates.split(":")
        val target = File(folder, "$artifact-$version.$type")
        if (target.isFile) return target
        if (offline || maven == null) return null
        folder.mkdirs()
        val command =
            listOf(
                maven.path, "-q", "-B", "$COPY_GOAL:copy",
                "-Dartifact=$coordinates", "-DoutputDirectory=${folder.path}",
                "-Dmdep.useBaseVersion=true",
            )
        return attempt(coordinates) { runCommand(command, "", folder) }?.let { target }
    }

    /** The archive of an npm package with this [sha256], or null where npm cannot fetch it. */
    fun fromNpm(name: String, version: String, sha256: String, folder: File): File? {
        val target = File(folder, "$name-$version.tgz")
        if (!target.isFile) {
            if (offline) return null
            val partial = File(folder, "npm").apply { deleteRecursively() }
            partial.mkdirs()
            val command = listOf("npm", "pack", "--silent", "$name@$version")
            attempt("$name@$version") { runCommand(command, "", partial) } ?: return null
            check(File(partial, target.name), sha256)
            File(partial, target.name).replace(target)
            partial.deleteRecursively()
        }
        check(target, sha256)
        return target
    }

    private fun check(archive: File, sha256: String) {
        val found = archive.sha256()
        if (found != sha256) {
            throw PackagingError(
                "${archive.name} has the SHA-256 $found instead of $sha256.",
                "Delete $archive and build again; if it stays so, do not trust the package.",
            )
        }
    }

    private fun attempt(what: String, fetch: () -> Unit): Unit? =
        try {
            say("Fetching $what")
            fetch()
        } catch (error: PackagingError) {
            say("$what cannot be fetched; looking further.")
            null
        } catch (error: IOException) {
            say("$what cannot be fetched: ${error.message}; looking further.")
            null
        }

    private companion object {
        const val COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
    }
}
