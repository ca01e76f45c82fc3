package org.squeezebert.core.benchmark

/** What one round measured, by entry. */
internal typealias Round = Map<String, Block>

/** Samples are compared in milliseconds, as in samples.py: equal to the last digit. */
internal const val MILLISECONDS = 1e-6

/**
 * The rounds of one case: which are complete, which direction is next, and how many are missing.
 *
 * The rules of runtime_bench/rounds.py. A round that was cut in the middle, or dropped, is measured
 * again under a new number, since only blocks measured side by side are paired.
 *
 * @param failed ids of entries that are out of the run, kept up to date by its owner.
 */
internal class Rounds(private val plan: BenchmarkPlan, private val failed: Set<String>) {
    private val blocks = sortedMapOf<Int, MutableMap<String, Block>>()
    private val dropped = mutableSetOf<Int>()

    // An interval costs thousands of medians, and progress asks often: what was found, and of what.
    private var widest = 0.0
    private var widestOf: List<Int>? = null

    fun add(block: Block) {
        blocks.getOrPut(block.round) { mutableMapOf() }[block.entry] = block
    }

    fun drop(number: Int) {
        dropped += number
    }

    /** Numbers are never used again. */
    fun nextNumber(): Int = (blocks.keys.maxOrNull() ?: -1) + 1

    fun round(number: Int): Round = blocks[number].orEmpty()

    /** The number of the newest round that counts. */
    fun lastComplete(): Int? = complete().lastOrNull()?.values?.first()?.round

    /** The rounds that count and that every entry still in the run was measured in. */
    fun complete(before: Int? = null): List<Round> {
        val expected = plan.entries.map { it.id } - failed
        return blocks.filter { (number, round) ->
            number !in dropped && round.isNotEmpty() && round.keys.containsAll(expected) &&
                (before == null || number < before)
        }.values.toList()
    }

    /** How many rounds are still to be measured, as far as is known now. */
    fun missing(): Int {
        if (plan.entries.all { it.id in failed }) return 0
        val settings = plan.settings
        val found = complete().size
        if (found < settings.blocks) return settings.blocks - found
        if (found % 2 != 0) return 1
        val most = if (settings.mostBlocks != 0) settings.mostBlocks else 2 * settings.blocks
        return if (found < most && widestInterval() > settings.intervalGoal) 2 else 0
    }

    /** Whether the next round goes forward: the direction that complete rounds have less of. */
    fun goesForward(): Boolean {
        val complete = complete()
        val forward = complete.count { round ->
            val places = plan.entries.mapNotNull { round[it.id]?.position }
            places == places.sorted()
        }
        return 2 * forward <= complete.size
    }

    /** Relative half width of the widest interval of a ratio; 0 with too few rounds for one. */
    private fun widestInterval(): Double {
        val complete = complete()
        if (complete.size < MINIMUM_ROUNDS) return 0.0
        val state = listOf(blocks.values.sumOf { it.size }, dropped.size, failed.size)
        if (state == widestOf) return widest
        widestOf = state
        val alive = plan.entries.filter { it.id !in failed }
        widest = compared(alive).maxOfOrNull { (subject, baseline) ->
            val blocks = { entry: PlanEntry -> samples(complete.map { it.getValue(entry.id) }) }
            val found = ratio(blocks(baseline), blocks(subject))
            if (found?.low == null || found.high == null) 0.0
            else (found.high - found.low) / 2 / found.value
        } ?: 0.0
        return widest
    }
}

/** Every subject with every baseline but itself. */
internal fun compared(entries: List<PlanEntry>): List<Pair<PlanEntry, PlanEntry>> =
    entries.filter { "subject" in it.roles }.flatMap { subject ->
        entries.filter { "baseline" in it.roles && it !== subject }.map { subject to it }
    }

/** Forward in one round, reversed in the next: A B B A. */
internal fun order(entries: List<PlanEntry>, forward: Boolean): List<PlanEntry> =
    if (forward) entries else entries.asReversed()

/** Wall times in milliseconds by round. */
internal fun samples(blocks: List<Block>): Samples = blocks.associate { block ->
    block.round to DoubleArray(block.wallNanos.size) { block.wallNanos[it] * MILLISECONDS }
}
