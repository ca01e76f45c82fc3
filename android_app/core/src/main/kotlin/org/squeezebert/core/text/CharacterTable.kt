package org.squeezebert.core.text

/**
 * What the tokenizer knows of characters (Unicode code points), the same on every platform.
 *
 * The tables of the JDK, of each Android version and of the Python tokenizer are of different ages:
 * these are the latter's, see generate_character_table.py. `java.lang.Character` is not asked.
 */
internal object CharacterTable {
    /** Removed by clean_text: controls, formats, private use. */
    const val DROPPED = 1

    /** Ends a word. */
    const val SPACE = 2

    /** A CJK ideograph: a word of its own where the tokenizer asks for it. */
    const val CHINESE = 4

    /** A word of its own. */
    const val PUNCTUATION = 8

    /** Removed with the accents. */
    const val STRIPPED = 16

    /** Becomes what [base] says, where accents are removed. */
    const val HAS_BASE = 32

    /** Becomes what [lower] says, in lower case. */
    const val HAS_LOWER = 64

    /** Of a [STRIPPED] character: marks do not pass it. Of others: a mark of a [rank]. */
    const val ORDERED = 128

    /** What is left of a character without its accents. */
    val base = CharacterMap(BASES_CODED)

    /** Lower case, of one or two characters. */
    val lower = CharacterMap(LOWER_CODED)

    private val markCodes: IntArray
    private val markRanks: IntArray
    private val pageOf: ShortArray
    private val pages: ByteArray

    init {
        val marks = readNumbers(MARKS_CODED)
        markCodes = IntArray(marks.size / 2)
        markRanks = IntArray(marks.size / 2)
        var code = 0
        for (index in markCodes.indices) {
            code += marks[2 * index]
            markCodes[index] = code
            markRanks[index] = marks[2 * index + 1]
        }
        val all = allFlags()
        pageOf = ShortArray(all.size / PAGE_SIZE)
        val distinct = ArrayList<ByteArray>()
        for (page in pageOf.indices) {
            val content = all.copyOfRange(page * PAGE_SIZE, (page + 1) * PAGE_SIZE)
            // Equal pages are neighbours: unassigned, ideographs, private use.
            if (distinct.isEmpty() || !distinct.last().contentEquals(content)) distinct += content
            pageOf[page] = (distinct.size - 1).toShort()
        }
        pages = ByteArray(distinct.size * PAGE_SIZE)
        distinct.forEachIndexed { index, page -> page.copyInto(pages, index * PAGE_SIZE) }
    }

    /** The flags above of the character [code], combined. */
    fun flags(code: Int): Int =
        pages[(pageOf[code shr PAGE_BITS].toInt() shl PAGE_BITS) or (code and PAGE_SIZE - 1)]
            .toInt() and 0xff

    /** The order of a mark that stays: marks that follow each other are sorted by it. */
    fun rank(code: Int): Int {
        val index = markCodes.binarySearch(code)
        return if (index < 0) 0 else markRanks[index]
    }

    private fun allFlags(): ByteArray {
        val flags = ByteArray(CODE_POINTS)
        fun mark(code: Int, flag: Int) {
            flags[code] = (flags[code].toInt() or flag).toByte()
        }
        fun markRanges(coded: String, flag: Int) {
            val numbers = readNumbers(coded)
            var next = 0
            for (index in numbers.indices step 2) {
                val first = next + numbers[index]
                next = first + numbers[index + 1]
                for (code in first..next) mark(code, flag)
            }
        }
        markRanges(DROPPED_CODED, DROPPED)
        markRanges(SPACES_CODED, SPACE)
        markRanges(CHINESE_CODED, CHINESE)
        markRanges(PUNCTUATION_CODED, PUNCTUATION)
        markRanges(STRIPPED_CODED, STRIPPED)
        markRanges(BARRIERS_CODED, ORDERED)
        for (code in base.keys) mark(code, HAS_BASE)
        for (code in HANGUL) mark(code, HAS_BASE)
        for (code in lower.keys) mark(code, HAS_LOWER)
        for (code in markCodes) mark(code, ORDERED)
        return flags
    }

    private const val CODE_POINTS = 0x110000
    private const val PAGE_BITS = 7
    private const val PAGE_SIZE = 1 shl PAGE_BITS
}

/** Korean syllables; Unicode takes them apart by arithmetic (its chapter 3.12). */
internal val HANGUL = 0xAC00..0xD7A3

/** Characters that become one or several others, as GeneratedCharacters.kt codes them. */
internal class CharacterMap(coded: String) {
    /** Those that become others, ascending. */
    val keys: IntArray
    private val starts: IntArray
    private val values: IntArray

    init {
        val entries = ArrayList<IntArray>()
        for (part in coded.split(' ')) {
            if (part.startsWith('*')) {
                repeat(part.substring(1).toInt(RADIX)) { entries += entries.last() }
            } else {
                entries += part.split(',').map { it.toInt(RADIX) }.toIntArray()
            }
        }
        keys = IntArray(entries.size)
        starts = IntArray(entries.size + 1)
        values = IntArray(entries.sumOf { it.size - 1 })
        var code = 0
        entries.forEachIndexed { index, entry ->
            code += entry[0]
            keys[index] = code
            starts[index + 1] = starts[index] + entry.size - 1
            for (i in 1 until entry.size) values[starts[index] + i - 1] = code + entry[i]
        }
    }

    /** The place of [code] among [keys]; negative where it becomes nothing else. */
    fun find(code: Int): Int = keys.binarySearch(code)

    /** How many characters the one at [place] becomes. */
    fun size(place: Int): Int = starts[place + 1] - starts[place]

    /** The [index]th of them. */
    fun value(place: Int, index: Int): Int = values[starts[place] + index]
}

private fun readNumbers(coded: String): IntArray =
    coded.split(' ').map { it.toInt(RADIX) }.toIntArray()

private const val RADIX = 36
