package org.squeezebert.core.text

import java.io.File
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.core.bundle.SMALL_TOKENIZER
import org.squeezebert.core.bundle.assertReason
import org.squeezebert.core.bundle.readBundle
import org.squeezebert.core.bundle.smallFiles
import org.squeezebert.core.bundle.writeFiles

class TokenizerTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private val tokenizer by lazy { read(SMALL_TOKENIZER) }

    private fun read(document: String): Tokenizer =
        Tokenizer.read(readBundle(writeFiles(temporary.newFolder(), smallFiles(document))))

    private fun ids(text: String, pair: String? = null, limit: Int = 100): List<Int> =
        tokenizer.encode(text, pair, limit).tokens.ids.toList()

    @Test
    fun `words become their longest pieces`() {
        assertEquals(listOf(2, 8, 6, 9, 11, 7, 3), ids("ÁBb!b\u0300bc"))
        assertEquals(listOf(2, 5, 10, 8, 1, 4, 1, 3), ids("a中ab x[MASK]y"))
        assertEquals(listOf(2, 1, 8, 3), ids("abx ab"))
        assertEquals(listOf(2, 3), ids(" \t\u0000"))
    }

    @Test
    fun `words that are too long are unknown, whatever they hold`() {
        assertEquals(listOf(2, 8) + List(8) { 6 } + listOf(9, 3), ids("ab" + "b".repeat(8) + "!"))
        assertEquals(listOf(2, 1, 9, 3), ids("ab" + "b".repeat(9) + "!"))
        assertEquals(listOf(2, 1, 3), ids("\u302e\ud81b\udff0".repeat(1_000_000)))
        // Accents are taken off before letters are counted.
        assertEquals(listOf(2, 8, 3), ids("a" + "\u0301".repeat(50) + "b"))
    }

    @Test
    fun `half a surrogate pair is the replacement character, which is removed`() {
        assertEquals(ids("ab"), ids("a\ud83db"))
        assertEquals(ids("ab"), ids("a\ude00\ud83db\ud83d"))
        assertEquals(ids("a\u4e2d"), ids("a\ud83d\u4e2d"))
        assertEquals(listOf(2, 1, 3), ids("a\ud83d\ude00b"))
    }

    @Test
    fun `a pair has its types and is cut from the longer text`() {
        val encoding = tokenizer.encode("a a a a a", "b", limit = 7)
        assertEquals(listOf(2, 5, 5, 5, 3, 11, 3), encoding.tokens.ids.toList())
        assertEquals(listOf(0, 0, 0, 0, 0, 1, 1), encoding.tokens.types.toList())
        assertEquals(List(7) { 1 }, encoding.tokens.mask.toList())
        assertTrue(encoding.truncated)
        assertFalse(tokenizer.encode("a a a", "b", limit = 7).truncated)
        assertEquals(listOf(2, 5, 3, 3), ids("a", ""))
        assertEquals(8, tokenizer.maxLength)
        assertEquals(8, tokenizer.encode("a ".repeat(99)).tokens.length)
    }

    @Test
    fun `of an odd room the longer text has the larger half`() {
        val many = "a ".repeat(5000)
        val more = "b ".repeat(5001)
        assertEquals(listOf(2, 5, 5, 3, 11, 11, 11, 3), ids(many, more, 8))
        assertEquals(listOf(2, 11, 11, 11, 3, 5, 5, 3), ids(more, many, 8))
        assertEquals(listOf(2, 5, 5, 3, 5, 5, 5, 3), ids(many, many, 8))
    }

    @Test
    fun `a limit without room is refused`() {
        assertReason("leaves no room") { tokenizer.encode("a", null, 2) }
        assertReason("leaves no room") { tokenizer.encode("a", "b", 3) }
        assertEquals(listOf(2, 5, 3), ids("a a", null, 3))
    }

    @Test
    fun `of an enormous text only the beginning is read`() {
        val words = TokenStream("ab ".repeat(4_000_000), rules(), kept = 5)
        words.readPast(5)
        assertEquals(6, words.count)
        assertFalse(words.isAtEnd)
    }

    private fun rules() = Rules(
        cleanText = true,
        chineseAlone = true,
        stripAccents = true,
        lowercase = true,
        pieces = Pieces(mapOf("ab" to 0), "##"),
        unknownId = 1,
        longestWord = 10,
        added = AddedTokens(emptyMap()),
        single = emptyList(),
        pair = emptyList(),
    )

    @Test
    fun `threads may share it`() {
        val texts = List(200) { "ab a b! 中 abc ".repeat(it % 7) + "a".repeat(it) }
        val wanted = texts.map(::ids)
        val pool = Executors.newFixedThreadPool(4)
        try {
            val found = pool.invokeAll(List(4) { Callable { texts.map(::ids) } })
            for (answer in found) assertEquals(wanted, answer.get())
        } finally {
            pool.shutdownNow()
        }
    }

    @Test
    fun `a template with numbers that no model knows is refused`() {
        val part = """{"Sequence": {"id": "A", "type_id": 0}}"""
        val special = """{"SpecialToken": {"id": "[CLS]", "type_id": 0}}"""
        val processor = """{"type": "TemplateProcessing", "single": [$special, $part],
            "pair": [$part, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": {"ids": [2]}}}"""
        val old = Regex("\\{\"type\": \"BertProcessing\"[^}]*\\}")
        fun document(text: String) = SMALL_TOKENIZER.replace(old, Regex.escapeReplacement(text))
        assertEquals(listOf(2, 5), read(document(processor)).encode("a").tokens.ids.toList())
        assertReason("gives tokens the type 2") {
            read(document(processor.replace("\"B\", \"type_id\": 1", "\"B\", \"type_id\": 2")))
        }
        assertReason("adds the id 99") { read(document(processor.replace("[2]", "[99]"))) }
    }

    @Test
    fun `a tokenizer that works in another way is refused`() {
        val wrong = mapOf(
            "WordPiece" to "BPE" to "model.type is BPE instead of WordPiece",
            "BertNormalizer" to "Lowercase" to "normalizer.type is Lowercase",
            "BertPreTokenizer" to "Whitespace" to "pre_tokenizer.type is Whitespace",
            "BertProcessing" to "RobertaProcessing" to "post_processor.type is RobertaProcessing",
            "\"b\": 11" to "\"b\": 12" to "ids up to 12, but the word embedding has 12 rows",
            "\"b\": 11" to "\"b\": -1" to "an id is negative",
            "\"[UNK]\": 1" to "\"[unk]\": 1" to "\"[UNK]\" is no piece",
            "\"normalized\": false" to "\"normalized\": true" to "is not taken literally",
            "{\"id\": 4" to "{\"id\": 5" to "\"[MASK]\" has two ids, 5 and 4",
            "[\"[SEP]\", 3]" to "[]" to "post_processor.sep holds no id",
            "[\"[SEP]\", 3]" to "[\"[SEP]\", 12]" to "it adds the id 12, but the word embedding",
            "[\"[CLS]\", 2]" to "[\"[CLS]\", -1]" to "it adds the id -1, but the word embedding",
            "per_word\": 10" to "per_word\": -1" to "max_input_chars_per_word is less than 1",
            "\"##\"" to "\"\"" to "continuing_subword_prefix is empty",
        )
        for ((change, reason) in wrong) {
            assertTrue(change.first in SMALL_TOKENIZER)
            val document = SMALL_TOKENIZER.replaceFirst(change.first, change.second)
            assertReason(reason) { read(document) }
        }
        val folder = writeFiles(temporary.newFolder())
        File(folder, "tokenizer.json").delete()
        assertReason("cannot be read") { Tokenizer.read(readBundle(folder)) }
    }
}
