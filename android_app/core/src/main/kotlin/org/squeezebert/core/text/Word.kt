package org.squeezebert.core.text

/** The word that is being read. Of one longer than [longest] characters only the beginning. */
internal class Word(private val longest: Int) {
    /** UTF-16, the first [length] of them. */
    var units = CharArray(USUAL_UNITS)
        private set
    var length = 0
        private set

    /** How many characters were added. */
    var characters = 0
        private set

    val isTooLong: Boolean get() = characters > longest

    /** From here on there are only marks, which may change places. */
    private var marksFrom = 0

    /** Adds a character that is no mark. */
    fun add(code: Int) {
        insert(code, length)
        marksFrom = length
    }

    /** Adds a mark before those that follow the last other character and are of a later rank. */
    fun addMark(code: Int) {
        if (isTooLong) return // without a look at millions of marks
        val rank = CharacterTable.rank(code)
        var place = length
        while (place > marksFrom) {
            val before = Character.codePointBefore(units, place)
            if (CharacterTable.rank(before) <= rank) break
            place -= Character.charCount(before)
        }
        insert(code, place)
    }

    /** Marks that are added from now on stay behind those that are there. */
    fun holdMarks() {
        marksFrom = length
    }

    fun clear() {
        length = 0
        characters = 0
        marksFrom = 0
    }

    private fun insert(code: Int, place: Int) {
        characters = minOf(characters, longest) + 1 // no overflow: too long stays too long
        if (isTooLong) return
        val size = if (code < FIRST_ASTRAL) 1 else 2
        if (length + size > units.size) units = units.copyOf(2 * units.size)
        if (place < length) units.copyInto(units, place + size, place, length)
        if (size == 1) {
            units[place] = code.toChar()
        } else {
            units[place] = Character.highSurrogate(code)
            units[place + 1] = Character.lowSurrogate(code)
        }
        length += size
    }

    private companion object {
        const val USUAL_UNITS = 32
        const val FIRST_ASTRAL = 0x10000
    }
}
