package org.squeezebert.app.engines

import org.squeezebert.core.UserError
import org.squeezebert.core.engine.Model
import org.squeezebert.core.engine.Tensor
import org.squeezebert.core.engine.Tokens

/** A model that runs one inference at a time; closing waits for it, and later runs are refused. */
internal class OneAtATime(private val model: Model, private val name: String) : Model {
    private var closed = false

    @Synchronized
    override fun run(input: Tokens): List<Tensor> {
        if (closed) throw UserError("$name was closed.", "Open the model again.")
        return model.run(input)
    }

    @Synchronized
    override fun close() {
        if (!closed) {
            closed = true
            model.close()
        }
    }
}
