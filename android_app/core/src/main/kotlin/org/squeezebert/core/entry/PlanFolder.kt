package org.squeezebert.core.entry

import java.io.File
import java.io.IOException
import java.security.DigestInputStream
import java.security.MessageDigest
import org.squeezebert.core.UserError
import org.squeezebert.core.benchmark.BenchmarkPlan
import org.squeezebert.core.benchmark.PlanEntry
import org.squeezebert.core.benchmark.readPlan
import org.squeezebert.core.bundle.StoredFile
import org.squeezebert.core.bundle.hexadecimal

/**
 * The folder of a run that a computer started.
 *
 * The computer puts `plan.json` and the models there; the app appends to [records] and tells where
 * it stands in `state.json`.
 *
 * @param folder where the computer can read and write.
 * @param copies where only the app can: models are loaded from there, and removed after the run.
 */
class PlanFolder(private val folder: File, private val copies: File) {
    /** The records, one JSON object a line. */
    val records: File = File(folder, "records.jsonl")

    /** The state that was told last: telling it again would only cost the phone work. */
    private var told: RunState? = null

    /** The plan. Throws [UserError] where there is none, or it cannot be measured here. */
    fun plan(): BenchmarkPlan {
        val file = File(folder, "plan.json")
        if (file.length() > LARGEST_PLAN) {
            throw UserError("The plan of ${folder.name} is larger than any plan.", START_AGAIN)
        }
        val text = try {
            file.readText()
        } catch (error: IOException) {
            throw UserError(
                "The run ${folder.name} has no plan that the app can read (${error.message}).",
                START_AGAIN,
                error,
            )
        }
        return readPlan(text)
    }

    /**
     * Copies the models of [plan] to where only the app can write, and compares their hashes on the
     * way; gives the folder of each entry's files, by its id.
     *
     * What other runs left there is removed: one that was ended from outside could not do it.
     * Returns early where [cancelled] says so between two files. Throws [UserError] where a file is
     * missing, is another one than in the plan, or does not fit.
     */
    fun copyModels(plan: BenchmarkPlan, cancelled: () -> Boolean): (entryId: String) -> File {
        removeOthers()
        copies.deleteRecursively()
        val places = plan.entries.associate { it.id to File(copies, it.id) }
        for (entry in plan.entries) {
            for (stored in entry.artifact.files) {
                if (cancelled()) return places::getValue
                copy(entry, stored, File(places.getValue(entry.id), stored.path))
            }
        }
        return places::getValue
    }

    /** Removes the copies of all other runs. Only where none of them is being measured. */
    fun removeOthers() {
        copies.parentFile?.listFiles().orEmpty().filter { it.name != copies.name }
            .forEach { it.deleteRecursively() }
    }

    /** Removes the copies. */
    fun removeCopies() {
        copies.deleteRecursively()
    }

    /**
     * Writes [state] for the computer.
     *
     * Where that fails nothing happens here: a measurement does not end for want of a message, and
     * the computer notices the silence.
     */
    fun tell(state: RunState) {
        if (state == told) return
        try {
            writeState(File(folder, "state.json"), state)
            told = state
        } catch (_: IOException) {
            told = null
        }
    }

    private fun copy(entry: PlanEntry, stored: StoredFile, target: File) {
        val source = File(File(folder, entry.bundle), stored.path)
        val digest = MessageDigest.getInstance("SHA-256")
        try {
            target.parentFile?.mkdirs()
            DigestInputStream(source.inputStream(), digest).use { input ->
                target.outputStream().use { input.copyTo(it) }
            }
        } catch (error: IOException) {
            throw UserError(
                "${stored.path} of ${entry.label} cannot be copied into the app " +
                    "(${error.message}).",
                "Free some storage on the phone. $START_AGAIN",
                error,
            )
        }
        if (hexadecimal(digest) != stored.sha256) {
            throw UserError(
                "${stored.path} of ${entry.label} has other bytes than the plan says.",
                START_AGAIN,
            )
        }
    }

    companion object {
        /** Bytes. Plans hold some thousand numbers for each model and length. */
        const val LARGEST_PLAN = 16L shl 20
        private const val START_AGAIN = "Start the run again on the computer."
        private val NAME = Regex("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

        /**
         * The folder of the run [name] below [shared], with its copies below [own].
         *
         * Throws [UserError] for a name that is none.
         */
        fun of(name: String?, shared: File, own: File): PlanFolder {
            if (name == null || !NAME.matches(name)) {
                throw UserError(
                    "\"${name.orEmpty().take(SHOWN)}\" is no name of a run.",
                    "Start runs with squeezebert-bench on a computer.",
                )
            }
            return PlanFolder(File(shared, name), File(own, name))
        }

        private const val SHOWN = 80
    }
}
