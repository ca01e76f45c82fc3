package org.squeezebert.core.text

/** All that a tokenizer.json decides. */
internal class Rules(
    val cleanText: Boolean,
    val chineseAlone: Boolean,
    val stripAccents: Boolean,
    val lowercase: Boolean,
    val pieces: Pieces,
    val unknownId: Int,
    /** Longer words, in characters, are unknown. */
    val longestWord: Int,
    val added: AddedTokens,
    /** What a text becomes, and what a pair does. */
    val single: List<Part>,
    val pair: List<Part>,
)

/** Part of what a text or a pair of texts becomes. Its tokens are all of [type]. */
internal sealed interface Part {
    val type: Int

    /** The tokens [ids], always: [CLS], [SEP]. */
    class Fixed(val ids: List<Int>, override val type: Int) : Part

    /** The tokens of the first text, or of the second. */
    class Sequence(val isSecond: Boolean, override val type: Int) : Part
}

/** Tokens such as [MASK] that are found in the text as it is written, before anything else. */
internal class AddedTokens(ids: Map<String, Int>) {
    // Where several fit, the longest counts.
    private val contents = ids.keys.sortedByDescending { it.length }.toTypedArray()
    private val tokenIds = IntArray(contents.size) { ids.getValue(contents[it]) }
    private val firstUnits = contents.map { it[0] }.distinct().toCharArray()

    /** Which token stands at [position] of [text]; negative: none. */
    fun find(text: String, position: Int): Int {
        val unit = text[position]
        if (firstUnits.none { it == unit }) return -1
        return contents.indexOfFirst { text.startsWith(it, position) }
    }

    /** The id of the [index]th token. */
    fun id(index: Int): Int = tokenIds[index]

    /** Its length in UTF-16 units. */
    fun length(index: Int): Int = contents[index].length
}
