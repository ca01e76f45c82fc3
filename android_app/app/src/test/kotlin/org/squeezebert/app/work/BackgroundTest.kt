package org.squeezebert.app.work

import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertTrue
import org.junit.Test
import org.squeezebert.core.UserError

/** Failures of the background thread become sentences for people. */
class BackgroundTest {
    @Test
    fun aLibraryThatCannotBeLoadedIsTold() {
        val error = failure { throw UnsatisfiedLinkError("libengine.so") }
        assertTrue(error.reason, error.reason.contains("libengine.so"))
        assertTrue(error.nextStep, error.nextStep.contains("this device's processor"))
    }

    @Test
    fun everyOtherFailureIsTold() {
        val known = UserError("It is so.", "Do that.")
        assertSame(known, failure { throw known })
        assertTrue(failure { throw OutOfMemoryError() }.reason.contains("memory"))
        assertTrue(failure { error("odd") }.reason.contains("odd"))
    }

    private fun failure(work: () -> Unit): UserError {
        var told: Result<Unit>? = null
        Background(Runnable::run, Runnable::run).run(work) { told = it }
        assertEquals(true, told?.isFailure)
        return told?.exceptionOrNull() as UserError
    }
}
