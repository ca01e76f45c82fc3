package org.squeezebert.core.text

import java.io.File
import java.lang.management.ManagementFactory
import org.squeezebert.core.bundle.readBundle

/**
 * Prints how long one encoding takes and how many bytes it allocates, of the bundle in the folder
 * that is the argument: a pair that fills 128 tokens, and ten million characters.
 */
fun main(arguments: Array<String>) {
    val bundle = readBundle(File(arguments.single()))
    val begin = System.nanoTime()
    val tokenizer = Tokenizer.read(bundle)
    println("read: ${(System.nanoTime() - begin) / 1_000_000} ms, the JVM cold")
    val premise = "A woman in a blue dress is holding flowers; two men look on. ".repeat(8)
    val hypothesis = "Zwei ältere Männer sehen, wie eine Frau 42 Blumen hält. ".repeat(8)
    val room = 128
    measure("pair of $room tokens", 20_000) { tokenizer.encode(premise, hypothesis, room) }
    val short = "what expression would i use to say i love you if i were an italian"
    measure("one sentence", 20_000) { tokenizer.encode(short, null, room) }
    val enormous = "word ".repeat(2_000_000)
    measure("10 MB of text", 5) { tokenizer.encode(enormous, null, room) }
    measure("10 MB and a sentence", 5) { tokenizer.encode(enormous, short, room) }
    measure("two texts of 10 MB", 5) { tokenizer.encode(enormous, enormous, room) }
    val oneWord = "ä".repeat(10_000_000)
    measure("a word of 10 million letters", 5) { tokenizer.encode(oneWord, null, room) }
}

private fun measure(name: String, repetitions: Int, encode: () -> Encoding) {
    repeat(repetitions) { encode() }
    val thread = Thread.currentThread().id
    val threads = ManagementFactory.getThreadMXBean() as com.sun.management.ThreadMXBean
    val times = LongArray(repetitions)
    val allocatedBefore = threads.getThreadAllocatedBytes(thread)
    var tokens = 0
    for (index in times.indices) {
        val begin = System.nanoTime()
        tokens = encode().tokens.length
        times[index] = System.nanoTime() - begin
    }
    val allocated = (threads.getThreadAllocatedBytes(thread) - allocatedBefore) / repetitions
    times.sort()
    val (median, late) = times[repetitions / 2] to times[repetitions * 9 / 10]
    println("$name: $tokens tokens, median $median ns, p90 $late ns, $allocated bytes allocated")
}
