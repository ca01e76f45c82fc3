package org.squeezebert.core.text

import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Bundle
import org.squeezebert.core.engine.Tokens

/** [tokens] of a text or pair; [truncated] where the text had more than the limit. */
class Encoding(val tokens: Tokens, val truncated: Boolean)

/**
 * The WordPiece tokenizer of a bundle: gives, token by token, what the Python tokenizer gives that
 * the model was trained with. Immutable; any number of threads may use it at once.
 *
 * @property padId id of the padding token, to fill up to a fixed length with (mask 0, type 0).
 * @property maxLength the most tokens that the model takes, special tokens included.
 */
class Tokenizer internal constructor(
    private val rules: Rules,
    val padId: Int,
    val maxLength: Int,
) {
    /**
     * [CLS] [text] [SEP], or [CLS] [text] [SEP] [pair] [SEP], without padding.
     *
     * More than [limit] tokens lose some at the end of the longer text, then of both in turn
     * ("longest first"). The time grows with [limit], not with the text, save for two enormous
     * texts of a pair, which are counted as far as it takes to know the longer one. Half a
     * surrogate pair counts as U+FFFD, the replacement character. An empty [pair] is a pair too.
     *
     * Throws [UserError] where [limit] leaves no room beside the special tokens.
     */
    fun encode(text: String, pair: String? = null, limit: Int = maxLength): Encoding {
        val parts = if (pair == null) rules.single else rules.pair
        val fixed = parts.sumOf { if (it is Part.Fixed) it.ids.size else 0 }
        val room = limit - fixed
        if (room < 1) {
            throw UserError(
                "A limit of $limit tokens leaves no room beside the $fixed special tokens.",
                "Choose a greater length.",
            )
        }
        val first = TokenStream(text, rules, room)
        val second = pair?.let { TokenStream(it, rules, room) }
        val (firstSize, secondSize) = sharedRoom(first, second, room)
        val ids = IntArray(fixed + firstSize + secondSize)
        val types = IntArray(ids.size)
        var at = 0
        for (part in parts) {
            val start = at
            when (part) {
                is Part.Fixed -> for (id in part.ids) ids[at++] = id
                is Part.Sequence -> {
                    val size = if (part.isSecond) secondSize else firstSize
                    (if (part.isSecond) second else first)?.copyTo(ids, at, size)
                    at += size
                }
            }
            types.fill(part.type, start, at)
        }
        val mask = IntArray(ids.size) { 1 }
        val total = first.count + (second?.count ?: 0)
        return Encoding(Tokens(ids, mask, types), truncated = total > firstSize + secondSize)
    }

    companion object {
        /**
         * The tokenizer in `tokenizer.json` of [bundle]; nothing else decides, as in Python.
         *
         * Takes some 50 ms for 30,000 pieces. Throws [UserError] where the file is missing or
         * damaged, is of another kind than BERT's, or has ids that the model has no embedding for.
         */
        fun read(bundle: Bundle): Tokenizer = readTokenizer(bundle)
    }
}
