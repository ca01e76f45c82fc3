package org.squeezebert.packaging

import java.io.File

/** Arguments of the form `name=value`. */
class Options(private val values: Map<String, String>) {
    /** The value, which must be there. */
    fun text(name: String): String =
        optional(name)
            ?: throw PackagingError("The option $name is missing.", "Add $name=VALUE.")

    /** The value, or null where it is missing, empty or a Maven property that nobody set. */
    fun optional(name: String): String? =
        values[name]?.takeIf { it.isNotEmpty() && !it.startsWith("\${") }

    /** One absolute path. */
    fun file(name: String): File = File(text(name)).absoluteFile.normalize()

    /** One absolute path, or null; see [optional]. */
    fun optionalFile(name: String): File? = optional(name)?.let { File(it).absoluteFile }

    /** Paths with the system's path separator between them. */
    fun files(name: String): List<File> =
        text(name).split(File.pathSeparatorChar).map { File(it).absoluteFile }

    /** These options with one [name] set or replaced. */
    fun with(name: String, value: String) = Options(values + (name to value))

    /** These options without [name]. */
    fun without(name: String) = Options(values - name)

    /** The options as they were given, a line for each. */
    override fun toString() = values.entries.joinToString("\n") { "${it.key}=${it.value}" }

    companion object {
        /** Throws [PackagingError] for an argument of another form. */
        fun parse(arguments: List<String>): Options =
            Options(
                arguments.associate { argument ->
                    val (name, value) =
                        argument.split("=", limit = 2).takeIf { it.size == 2 }
                            ?: throw PackagingError(
                                "$argument is not an option.",
                                "Write name=value.",
                            )
                    name to value
                }
            )
    }
}
