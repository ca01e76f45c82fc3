package org.squeezebert.app.ui

import android.os.Bundle

/** One of the three screens. Its views live as long as the Activity. */
internal interface Screen {
    /** Shows what the workplace holds now. */
    fun render()

    /** Keeps in [state] what only the screen knows, for a new Activity or process. */
    fun save(state: Bundle) = Unit

    /** Takes back what [save] has kept. Called before the first [render]. */
    fun restore(state: Bundle) = Unit
}
