package org.squeezebert.core.text

import org.squeezebert.core.text.CharacterTable.CHINESE
import org.squeezebert.core.text.CharacterTable.DROPPED
import org.squeezebert.core.text.CharacterTable.HAS_BASE
import org.squeezebert.core.text.CharacterTable.HAS_LOWER
import org.squeezebert.core.text.CharacterTable.ORDERED
import org.squeezebert.core.text.CharacterTable.PUNCTUATION
import org.squeezebert.core.text.CharacterTable.SPACE
import org.squeezebert.core.text.CharacterTable.STRIPPED

/**
 * The tokens of one [text], made as far as they are asked for: of an enormous text only its
 * beginning is looked at. At most [kept] of them are remembered, the others only counted.
 *
 * Each character goes the way of BERT's basic tokenization (clean, set ideographs apart, take
 * accents off, lower-case), and at the end of a word its pieces are looked up.
 */
internal class TokenStream(
    private val text: String,
    private val rules: Rules,
    private val kept: Int,
) {
    /** How many tokens there are so far. */
    var count = 0
        private set

    /** Whether [count] is that of the whole text. */
    var isAtEnd = false
        private set

    private var ids = IntArray(minOf(kept, USUAL_TOKENS))
    private var position = 0
    private val word = Word(rules.longestWord)

    /** Reads on until there are more than [tokens] tokens or the text ends. */
    fun readPast(tokens: Int) {
        while (count <= tokens && !isAtEnd) {
            if (position < text.length) {
                readCharacter()
            } else {
                endWord()
                isAtEnd = true
            }
        }
    }

    /** Copies the first [size] token ids to [target] at [offset]. */
    fun copyTo(target: IntArray, offset: Int, size: Int) {
        ids.copyInto(target, offset, 0, size)
    }

    private fun readCharacter() {
        val added = rules.added.find(text, position)
        if (added >= 0) {
            endWord()
            emit(rules.added.id(added))
            position += rules.added.length(added)
            return
        }
        var code = text[position++].code
        if (code in SURROGATES) {
            val low = if (position < text.length) text[position].code else 0
            if (code <= LAST_HIGH_SURROGATE && low in LOW_SURROGATES) {
                position++
                code = FIRST_ASTRAL + (code - SURROGATES.first shl HALF_BITS) +
                    (low - LOW_SURROGATES.first)
            } else {
                // Half a character: as a decoder would read it.
                code = REPLACEMENT
            }
        }
        take(code)
    }

    private fun take(code: Int) {
        val flags = CharacterTable.flags(code)
        when {
            flags == 0 -> word.add(code)
            flags and DROPPED != 0 && rules.cleanText -> return
            flags and SPACE != 0 -> endWord()
            flags and CHINESE != 0 && rules.chineseAlone -> {
                endWord()
                takeBase(code, flags)
                endWord()
            }
            else -> takeBase(code, flags)
        }
    }

    private fun takeBase(code: Int, flags: Int) {
        when {
            flags and (STRIPPED or HAS_BASE) == 0 || !rules.stripAccents -> takeLower(code, flags)
            flags and STRIPPED != 0 -> if (flags and ORDERED != 0) word.holdMarks()
            code in HANGUL -> {
                val index = code - HANGUL.first
                takeLower(FIRST_LEAD + index / (VOWELS * TAILS))
                takeLower(FIRST_VOWEL + index / TAILS % VOWELS)
                if (index % TAILS != 0) takeLower(NO_TAIL + index % TAILS)
            }
            else -> {
                val place = CharacterTable.base.find(code)
                repeat(CharacterTable.base.size(place)) {
                    takeLower(CharacterTable.base.value(place, it))
                }
            }
        }
    }

    private fun takeLower(code: Int, flags: Int = CharacterTable.flags(code)) {
        if (flags and HAS_LOWER == 0 || !rules.lowercase) {
            takeIntoWord(code, flags)
            return
        }
        val place = CharacterTable.lower.find(code)
        repeat(CharacterTable.lower.size(place)) {
            val lower = CharacterTable.lower.value(place, it)
            takeIntoWord(lower, CharacterTable.flags(lower))
        }
    }

    private fun takeIntoWord(code: Int, flags: Int) {
        when {
            flags and (SPACE or PUNCTUATION or ORDERED) == 0 -> word.add(code)
            flags and SPACE != 0 -> endWord()
            flags and PUNCTUATION != 0 -> {
                endWord()
                word.add(code)
                endWord()
            }
            // Marks are put in order by the same step that takes accents off, and only there.
            rules.stripAccents -> word.addMark(code)
            else -> word.add(code)
        }
    }

    private fun endWord() {
        if (word.characters == 0) return
        val before = count
        var start = if (word.isTooLong) UNKNOWN else 0
        while (start in 0 until word.length) {
            val found = rules.pieces.longest(word.units, start, word.length)
            if (found < 0) {
                start = UNKNOWN
            } else {
                emit(Pieces.id(found))
                start += Pieces.length(found)
            }
        }
        if (start == UNKNOWN) {
            count = before // a word is known wholly or not at all
            emit(rules.unknownId)
        }
        word.clear()
    }

    private fun emit(id: Int) {
        if (count < kept) {
            if (count == ids.size) ids = ids.copyOf(minOf(kept, 2 * ids.size))
            ids[count] = id
        }
        count++
    }

    private companion object {
        const val USUAL_TOKENS = 128
        const val UNKNOWN = -1
        const val REPLACEMENT = 0xFFFD
        const val FIRST_ASTRAL = 0x10000
        const val LAST_HIGH_SURROGATE = 0xDBFF
        const val HALF_BITS = 10
        val SURROGATES = 0xD800..0xDFFF
        val LOW_SURROGATES = 0xDC00..0xDFFF

        // Korean letters: a syllable is a lead, one of 21 vowels and one of 27 tails or none.
        const val FIRST_LEAD = 0x1100
        const val FIRST_VOWEL = 0x1161
        const val NO_TAIL = 0x11A7
        const val VOWELS = 21
        const val TAILS = 28
    }
}
