package org.squeezebert.packaging

/** What the person who builds can mend: [reason] says what is wrong, [nextStep] what to do. */
class PackagingError(val reason: String, val nextStep: String, cause: Throwable? = null) :
    Exception("$reason $nextStep", cause)
