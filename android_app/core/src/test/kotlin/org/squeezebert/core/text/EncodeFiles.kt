package org.squeezebert.core.text

import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.File
import org.squeezebert.core.bundle.readBundle

/**
 * Encodes what a Python test asks for: arguments are any number of triples of a bundle's folder, a
 * file of questions and the file for the answers.
 *
 * All numbers are big-endian. A question: the limit (int), the text, the pair; each of those is
 * the number of UTF-16 units (int, -1 where there is no pair) and the units. An answer: 1 where the
 * text was truncated, otherwise 0 (byte), the number of tokens (int), their ids and types (ints).
 */
fun main(arguments: Array<String>) {
    for (place in arguments.indices step 3) {
        val tokenizer = Tokenizer.read(readBundle(File(arguments[place])))
        val questions = File(arguments[place + 1])
        DataInputStream(questions.inputStream().buffered()).use { input ->
            DataOutputStream(File(arguments[place + 2]).outputStream().buffered()).use { output ->
                while (true) {
                    input.mark(1)
                    if (input.read() < 0) break
                    input.reset()
                    answer(tokenizer, input, output)
                }
            }
        }
    }
}

private fun answer(tokenizer: Tokenizer, input: DataInputStream, output: DataOutputStream) {
    val limit = input.readInt()
    val text = checkNotNull(readText(input))
    val pair = readText(input)
    val encoding = tokenizer.encode(text, pair, limit)
    val tokens = encoding.tokens
    check(tokens.mask.all { it == 1 })
    output.writeByte(if (encoding.truncated) 1 else 0)
    output.writeInt(tokens.length)
    for (id in tokens.ids) output.writeInt(id)
    for (type in tokens.types) output.writeInt(type)
}

private fun readText(input: DataInputStream): String? {
    val length = input.readInt()
    if (length < 0) return null
    return String(CharArray(length) { input.readChar() })
}
