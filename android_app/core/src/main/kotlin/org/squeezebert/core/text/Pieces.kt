package org.squeezebert.core.text

/**
 * The vocabulary as a tree of UTF-16 units: finds the longest piece at a place in one walk, without
 * making strings. Some 20 bytes for each node; bert-base-uncased has about 75,000.
 *
 * @param ids piece -> id, none of them empty.
 * @param continuation what pieces that go on within a word begin with: "##".
 */
internal class Pieces(ids: Map<String, Int>, continuation: String) {
    private val idOf: IntArray
    private val edges: LongArray
    private val targets: IntArray
    private val mask: Int
    private val continued: Int

    init {
        val sorted = ids.keys.toTypedArray()
        sorted.sort()
        var nodes = 1
        sorted.forEachIndexed { index, piece ->
            val shared = if (index == 0) 0 else piece.commonPrefixWith(sorted[index - 1]).length
            nodes += piece.length - shared
        }
        idOf = IntArray(nodes) { NONE }
        // At least a third is empty, so that a search soon ends.
        val capacity = Integer.highestOneBit(nodes + nodes / 2) * 2
        edges = LongArray(capacity) { FREE }
        targets = IntArray(capacity)
        mask = capacity - 1
        var made = 1
        for (piece in sorted) {
            var node = ROOT
            for (unit in piece) {
                val slot = slot(node, unit)
                if (edges[slot] == FREE) {
                    edges[slot] = edge(node, unit)
                    targets[slot] = made++
                }
                node = targets[slot]
            }
            idOf[node] = ids.getValue(piece)
        }
        continued = continuation.fold(ROOT) { node, unit ->
            if (node == NONE) NONE else follow(node, unit)
        }
    }

    /**
     * The longest piece that the units of [word] from [start] to [end] begin with; within the word
     * one that goes on. The id is [id] and its length [length] of the answer; negative: none.
     */
    fun longest(word: CharArray, start: Int, end: Int): Long {
        var node = if (start == 0) ROOT else continued
        var found = -1L
        var at = start
        while (node != NONE && at < end) {
            node = follow(node, word[at])
            at++
            if (node != NONE && idOf[node] != NONE) {
                found = (at - start).toLong() shl Int.SIZE_BITS or idOf[node].toLong()
            }
        }
        return found
    }

    private fun follow(node: Int, unit: Char): Int {
        val slot = slot(node, unit)
        return if (edges[slot] == FREE) NONE else targets[slot]
    }

    /** Where the edge is, or would be. */
    private fun slot(node: Int, unit: Char): Int {
        val wanted = edge(node, unit)
        val mixed = wanted * MIXER
        var slot = (mixed ushr Int.SIZE_BITS).toInt() and mask
        while (edges[slot] != wanted && edges[slot] != FREE) slot = slot + 1 and mask
        return slot
    }

    private fun edge(node: Int, unit: Char): Long = node.toLong() shl Char.SIZE_BITS or
        unit.code.toLong()

    companion object {
        /** The id in an answer of [longest]. */
        fun id(found: Long): Int = found.toInt()

        /** The number of UTF-16 units in an answer of [longest]. */
        fun length(found: Long): Int = (found ushr Int.SIZE_BITS).toInt()

        private const val ROOT = 0
        private const val NONE = -1
        private const val FREE = -1L

        /** 2^64 divided by the golden ratio: neighbouring numbers land far from each other. */
        private const val MIXER = -0x61c8864680b583ebL
    }
}
