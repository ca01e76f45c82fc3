package org.squeezebert.core

/**
 * Something that the user can mend: [reason] says what is wrong, [nextStep] what to do about it.
 *
 * Both are whole English sentences, shown in the app and written into records as they are.
 */
open class UserError(val reason: String, val nextStep: String, cause: Throwable? = null) :
    Exception("$reason $nextStep", cause)
