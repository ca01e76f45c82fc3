package org.squeezebert.app.work

import java.util.concurrent.Executor
import org.squeezebert.core.UserError

/**
 * One thread for everything that takes time, so that nothing computes beside a measurement.
 *
 * @param worker runs one task at a time.
 * @param mainThread where answers are handed over.
 */
class Background(private val worker: Executor, private val mainThread: Executor) {
    /**
     * Runs [work] behind what is already waiting, then [done] on the main thread. A failure always
     * is a [UserError].
     */
    fun <T> run(work: () -> T, done: (Result<T>) -> Unit) {
        worker.execute {
            val result = attempt(work)
            tell { done(result) }
        }
    }

    /** Runs [action] on the main thread, from any thread. */
    fun tell(action: () -> Unit) = mainThread.execute(action)
}

/** What [work] returns, or its failure as a [UserError]. */
internal fun <T> attempt(work: () -> T): Result<T> = try {
    Result.success(work())
} catch (error: UserError) {
    Result.failure(error)
} catch (error: OutOfMemoryError) {
    Result.failure(
        UserError(
            "The memory of this device does not suffice.",
            "Close other apps, or choose a smaller model.",
            error,
        ),
    )
} catch (error: LinkageError) {
    // An engine's library that is damaged, or made for another processor.
    Result.failure(
        UserError(
            "A part of the app cannot be loaded on this device: $error.",
            "Install the app that was built for this device's processor.",
            error,
        ),
    )
} catch (error: Exception) {
    Result.failure(
        UserError(
            "The app came upon something that it does not know: $error.",
            "Try again; if it stays, import the model again.",
            error,
        ),
    )
}

/** The failure that [attempt] has made. */
internal fun <T> Result<T>.userError(): UserError? = exceptionOrNull() as UserError?
