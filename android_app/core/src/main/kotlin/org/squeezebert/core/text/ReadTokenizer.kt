package org.squeezebert.core.text

import java.io.File
import java.io.IOException
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Bundle
import org.squeezebert.core.bundle.JsonFields
import org.squeezebert.core.bundle.JsonProblem
import org.squeezebert.core.bundle.parseObject

/** Reads `tokenizer.json`, the format of the Hugging Face tokenizers library. */
internal fun readTokenizer(bundle: Bundle): Tokenizer {
    val file = File(bundle.folder, TOKENIZER_FILE)
    val content = try {
        file.readBytes()
    } catch (error: IOException) {
        throw UserError("$TOKENIZER_FILE of ${bundle.name} cannot be read.", NEXT_STEP, error)
    }
    return try {
        val fields = JsonFields(parseObject(content))
        tokenizerFrom(fields, bundle.model.vocabSize, bundle.model.maxLength)
    } catch (problem: JsonProblem) {
        throw UserError(
            "This app cannot use $TOKENIZER_FILE of ${bundle.name}: ${problem.message}.",
            NEXT_STEP,
            problem,
        )
    }
}

private fun tokenizerFrom(fields: JsonFields, vocabSize: Int, maxLength: Int): Tokenizer {
    val model = fields.fields("model")
    requireKind(model, "WordPiece", optional = true)
    val pieces = model.fields("vocab").integers()
    val added = addedTokens(fields, pieces)
    val last = (pieces.values + added.values).maxOrNull() ?: throw JsonProblem("it has no pieces")
    if ((pieces.values + added.values).min() < 0) throw JsonProblem("an id is negative")
    if (last >= vocabSize) {
        throw JsonProblem("it has ids up to $last, but the word embedding has $vocabSize rows")
    }
    val unknown = model.text("unk_token")
    val normalizer = fields.fields("normalizer")
    requireKind(normalizer, "BertNormalizer")
    requireKind(fields.fields("pre_tokenizer"), "BertPreTokenizer")
    val lowercase = normalizer.flag("lowercase")
    val (single, pair) = templates(fields.fields("post_processor"), vocabSize)
    val rules = Rules(
        cleanText = normalizer.flag("clean_text"),
        chineseAlone = normalizer.flag("handle_chinese_chars"),
        // Not said: accents go with the capitals, as in BERT.
        stripAccents = normalizer.flagOrNull("strip_accents") ?: lowercase,
        lowercase = lowercase,
        pieces = Pieces(pieces.filterKeys { it.isNotEmpty() }, continuation(model)),
        unknownId = pieces[unknown]
            ?: throw JsonProblem("the token of unknown words \"$unknown\" is no piece"),
        longestWord = model.count("max_input_chars_per_word"),
        added = AddedTokens(added),
        single = single,
        pair = pair,
    )
    CharacterTable.flags(0) // made now, not while the first text waits
    return Tokenizer(rules, added[PADDING] ?: pieces[PADDING] ?: 0, maxLength)
}

private fun continuation(model: JsonFields): String =
    model.text("continuing_subword_prefix").ifEmpty {
        throw JsonProblem("${model.place("continuing_subword_prefix")} is empty")
    }

/** The tokens that are found in the text as it is written, and their ids. */
private fun addedTokens(fields: JsonFields, pieces: Map<String, Int>): Map<String, Int> {
    val found = LinkedHashMap<String, Int>()
    for (token in fields.objects("added_tokens")) {
        val content = token.text("content")
        val id = token.integer("id")
        if (content.isEmpty()) throw JsonProblem("${token.place("content")} is empty")
        if (pieces[content].let { it != null && it != id }) {
            throw JsonProblem("the token \"$content\" has two ids, $id and ${pieces[content]}")
        }
        // lstrip and rstrip need no care: white space beside a token makes no tokens.
        if (token.flag("normalized") || token.flag("single_word")) {
            throw JsonProblem("the added token \"$content\" is not taken literally")
        }
        found[content] = id
    }
    return found
}

/** What stands around one text and around two; every number is one that the model knows. */
private fun templates(fields: JsonFields, vocabSize: Int): Pair<List<Part>, List<Part>> {
    val found = if (fields.text("type") == "BertProcessing") {
        val first = listOf(Part.Fixed(listOf(bertToken(fields, "cls")), 0), Part.Sequence(false, 0))
        val separator = listOf(bertToken(fields, "sep"))
        val single = first + Part.Fixed(separator, 0)
        single to single + Part.Sequence(true, 1) + Part.Fixed(separator, 1)
    } else {
        requireKind(fields, "TemplateProcessing")
        template(fields, "single", listOf(false)) to template(fields, "pair", listOf(false, true))
    }
    for (part in found.first + found.second) {
        if (part.type !in TYPES) throw JsonProblem("it gives tokens the type ${part.type}")
        val ids = (part as? Part.Fixed)?.ids.orEmpty()
        ids.firstOrNull { it !in 0 until vocabSize }?.let {
            throw JsonProblem("it adds the id $it, but the word embedding has $vocabSize rows")
        }
    }
    return found
}

/** The id in `["[CLS]", 101]`. */
private fun bertToken(fields: JsonFields, name: String): Int =
    fields.array(name).getOrNull(1)?.toString()?.toIntOrNull()
        ?: throw JsonProblem("${fields.place(name)} holds no id")

/** The parts of a template, in which the texts ([wanted]: whether the second) are in this order. */
private fun template(fields: JsonFields, name: String, wanted: List<Boolean>): List<Part> {
    val parts = fields.objects(name).map { part ->
        val sequence = part.fieldsOrNull("Sequence")
        if (sequence != null) {
            Part.Sequence(sequence.text("id") == "B", sequence.integer("type_id"))
        } else {
            val special = part.fields("SpecialToken")
            val token = fields.fields("special_tokens").fields(special.text("id"))
            Part.Fixed(token.integerList("ids"), special.integer("type_id"))
        }
    }
    if (parts.filterIsInstance<Part.Sequence>().map { it.isSecond } != wanted) {
        throw JsonProblem("${fields.place(name)} does not hold each text once, in their order")
    }
    return parts
}

private fun requireKind(fields: JsonFields, kind: String, optional: Boolean = false) {
    if (optional && fields.isAbsent("type")) return
    val found = fields.text("type")
    if (found != kind) throw JsonProblem("${fields.place("type")} is $found instead of $kind")
}

private const val TOKENIZER_FILE = "tokenizer.json"
private const val PADDING = "[PAD]"

/** Texts have the types 0 and 1: the rows of BERT's table of types. */
private val TYPES = 0..1
private const val NEXT_STEP =
    "Import the bundle again, or export a model with a tokenizer like BERT's."
