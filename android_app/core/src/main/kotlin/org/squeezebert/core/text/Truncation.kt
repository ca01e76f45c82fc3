package org.squeezebert.core.text

/** How many tokens of the first and of the second text are taken. */
internal data class Sizes(val first: Int, val second: Int)

/** Reads on until it is known how many tokens of [first] and [second] fit into [room], and says. */
internal fun sharedRoom(first: TokenStream, second: TokenStream?, room: Int): Sizes {
    first.readPast(room)
    if (second == null) return Sizes(minOf(first.count, room), 0)
    second.readPast(room)
    // Of an odd room the longer text gets the half that is larger by one.
    if (room % 2 == 1 && first.count > room && second.count > room) readToShorter(first, second)
    return longestFirst(first.count, second.count, room)
}

/** Reads on until it is known which is longer. */
private fun readToShorter(first: TokenStream, second: TokenStream) {
    while (!first.isAtEnd && !second.isAtEnd) {
        val tokens = maxOf(first.count, second.count) + STEP
        first.readPast(tokens)
        second.readPast(tokens)
    }
    first.readPast(second.count)
    second.readPast(first.count)
}

/**
 * What is left of [first] and [second] tokens where [room] are taken: the longer text is cut until
 * both are of a length, then both are. As the Python tokenizer does, whose second text gets the odd
 * one when both were of a length.
 */
internal fun longestFirst(first: Int, second: Int, room: Int): Sizes {
    if (first.toLong() + second <= room) return Sizes(first, second)
    val shorter = minOf(first, second)
    val small = minOf(shorter, room / 2)
    val large = room - small
    return if (first > second) Sizes(large, small) else Sizes(small, large)
}

private const val STEP = 1024
