package org.squeezebert.core.text

import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Bundle
import org.squeezebert.core.engine.Tokens

/** [tokens] of a text or pair; [truncated] where the text had more than the limit. */
class Encoding(val tokens: Tokens, val truncated: Boolean)

/** The tokenizer of a bundle. */
class Tokenizer private constructor(val padId: Int, val maxLength: Int) {
    /** [CLS] text [SEP], or [CLS] text [SEP] pair [SEP], of at most [limit] tokens. */
    fun encode(text: String, pair: String? = null, limit: Int = maxLength): Encoding =
        throw UserError("The tokenizer is not there yet: $text $pair $limit.", "Wait.")

    companion object {
        /** Reads the tokenizer of [bundle]. Throws [UserError]. */
        fun read(bundle: Bundle): Tokenizer = Tokenizer(0, bundle.model.maxLength)
    }
}
