package org.squeezebert.app.engines

import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.TensorSpec
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Tokens

/** What [load] gives, or the [UserError] that says why the engine [name] cannot be used here. */
internal fun <T> loadingLibrary(
    name: String,
    unsupported: () -> UserError?,
    load: () -> T,
): Result<T> {
    // First: on a processor that lacks its instructions the library would end the whole process.
    val why = try {
        unsupported()
    } catch (error: Exception) {
        unknownProcessor(name, error)
    }
    if (why != null) return Result.failure(why)
    return try {
        Result.success(load())
    } catch (error: LinkageError) {
        Result.failure(notInThisApp(name, error))
    } catch (error: Exception) {
        // ONNX Runtime's own exceptions are checked ones of Java.
        Result.failure(notInThisApp(name, error))
    }
}

private fun unknownProcessor(name: String, cause: Exception) = UserError(
    "Whether this processor can run $name cannot be found out (${firstLine(cause)}).",
    "Restart the app; if it stays so, use another phone.",
    cause,
)

private fun notInThisApp(name: String, cause: Throwable) = UserError(
    "This app does not carry $name for this processor (${firstLine(cause)}).",
    "Build the app with it (see Engines in android_app/README.md), or choose a model for another " +
        "engine.",
    cause,
)

internal fun missing(error: Throwable) = Availability.Missing(error as UserError)

internal fun requireThreads(threads: Int) = require(threads >= 1) { "at least one thread" }

internal fun firstLine(error: Throwable): String =
    (error.message ?: error.javaClass.simpleName).lineSequence().first().trimEnd('.')

/** What of [input] the model's input [spec] takes. */
internal fun values(spec: TensorSpec, input: Tokens): IntArray = when (spec.name) {
    "input_ids" -> input.ids
    "attention_mask" -> input.mask
    "token_type_ids" -> input.types
    else -> throw UserError(
        "The model has an input ${spec.name}, which this app does not know.",
        "Choose a model made by: squeezebert-export build",
    )
}

internal fun wrongType(spec: TensorSpec, artifact: Artifact) = UserError(
    "${spec.name} of ${artifact.path} has the type ${spec.dtype}, which this app does not know.",
    "Choose a model made by: squeezebert-export build",
)
