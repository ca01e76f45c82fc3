package org.squeezebert.core.benchmark

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.addJsonObject
import kotlinx.serialization.json.buildJsonArray
import kotlinx.serialization.json.put

/**
 * Which cores of a phone are of one kind, from its own clocks and part numbers.
 *
 * The same kinds as runtime_bench/adb/clusters.py.
 *
 * @param maximumKhz core -> its fastest clock; null where the phone does not tell.
 * @param parts core -> the part number of /proc/cpuinfo (0xd05); absent where it does not tell.
 */
class Clusters(maximumKhz: Map<Int, Int?>, parts: Map<Int, String> = emptyMap()) {
    /** Cores of one kind. [name]: "little", "middle", "big", or "all" where there is one kind. */
    data class Cluster(val name: String, val cpus: List<Int>, val maximumKhz: Int?)

    private class Core(val cpu: Int, val khz: Int?, val part: String?)

    /** Rising by speed. With more than three kinds, "middle" holds several of them. */
    val clusters: List<Cluster>

    init {
        val kinds = maximumKhz.map { (cpu, khz) -> Core(cpu, khz, parts[cpu]) }
            .groupBy { Triple(it.part !in LITTLE_PARTS, it.khz ?: 0, it.part in PRIME_PARTS) }
            .toSortedMap(compareBy({ it.first }, { it.second }, { it.third }))
            .values.toList()
        clusters = when (kinds.size) {
            0 -> emptyList()
            1 -> listOf(cluster("all", kinds[0]))
            else -> listOf(
                cluster("little", kinds.first()),
                cluster("middle", kinds.subList(1, kinds.size - 1).flatten()),
                cluster("big", kinds.last()),
            ).filter { it.cpus.isNotEmpty() }
        }
    }

    /** As a run record's device holds them. */
    fun document(): JsonArray = buildJsonArray {
        for (cluster in clusters) {
            addJsonObject {
                put("name", cluster.name)
                put("cpus", JsonArray(cluster.cpus.map(::JsonPrimitive)))
                put("maximum_khz", JsonPrimitive(cluster.maximumKhz))
            }
        }
    }

    /**
     * The cores that are not the slowest kind, at most [MOST_THREADS]; all of one kind alike.
     *
     * A thread on a little core makes all others wait for it.
     */
    fun recommendedThreads(): Int {
        val fast = if (clusters.size > 1) clusters.drop(1) else clusters
        return fast.sumOf { it.cpus.size }.coerceIn(1, MOST_THREADS)
    }

    companion object {
        /** The most that is recommended, since products of this size leave more little to do. */
        const val MOST_THREADS = 4

        /** Efficiency cores, by part number: adb/clusters.py says which. */
        internal val LITTLE_PARTS =
            setOf("0xd03", "0xd05", "0xd46", "0xd80", "0x801", "0x803", "0x805")

        /** Cores above the big ones of the same phone, by part number. */
        internal val PRIME_PARTS = setOf("0xd44", "0xd4c", "0xd48", "0xd4e", "0xd82", "0xd85")

        /**
         * From the texts of the system's files.
         *
         * @param maximumFrequencies "cpuN" -> the text of its cpufreq/cpuinfo_max_freq (kHz), or
         *     null where it cannot be read.
         * @param cpuInfo the text of /proc/cpuinfo; "" where it cannot be read.
         */
        fun read(maximumFrequencies: Map<String, String?>, cpuInfo: String = ""): Clusters {
            val khz = maximumFrequencies.entries.associate { (name, text) ->
                name.removePrefix("cpu").toInt() to text?.trim()?.toIntOrNull()
            }
            return Clusters(khz, parts(cpuInfo))
        }

        private fun parts(cpuInfo: String): Map<Int, String> {
            val found = mutableMapOf<Int, String>()
            var cpu: Int? = null
            for (line in cpuInfo.lineSequence()) {
                val value = line.substringAfter(':', "").trim()
                when (line.substringBefore(':').trim()) {
                    "processor" -> cpu = value.toIntOrNull()
                    "CPU part" -> cpu?.let { found[it] = value.lowercase() }
                }
            }
            return found
        }

        private fun cluster(name: String, cores: List<Core>): Cluster {
            val maximum = cores.mapNotNull { it.khz }.filter { it != 0 }.maxOrNull()
            return Cluster(name, cores.map { it.cpu }.sorted(), maximum)
        }
    }
}
