package org.squeezebert.core.benchmark

import org.junit.Assert.assertEquals
import org.junit.Test

class ClustersTest {
    private fun threads(vararg khz: Int?) =
        Clusters(khz.withIndex().associate { it.index to it.value }).recommendedThreads()

    @Test
    fun `as many threads as there are cores that are not the slowest, at most four`() {
        assertEquals(4, threads(*Array(4) { 1_800_000 }, *Array(4) { 2_400_000 }))
        assertEquals(2, threads(*Array(6) { 1_800_000 }, 2_400_000, 2_400_000))
        assertEquals(4, threads(*Array(4) { 1_800_000 }, *Array(3) { 2_400_000 }, 3_000_000))
        assertEquals(4, threads(*Array(8) { 1_800_000 }))
        assertEquals(2, threads(null, null))
        assertEquals(1, threads(1_800_000))
        assertEquals(1, threads())
    }

    @Test
    fun `the system's texts are read`() {
        val clusters = Clusters.read(
            mapOf("cpu0" to "1800000\n", "cpu1" to "1800000\n", "cpu2" to null),
            "processor\t: 0\nCPU part\t: 0xd05\n\nprocessor\t: 1\nCPU part\t: 0xD41\n",
        )
        assertEquals(
            listOf("little" to listOf(0), "middle" to listOf(2), "big" to listOf(1)),
            clusters.clusters.map { it.name to it.cpus }
                .sortedBy { listOf("little", "middle", "big").indexOf(it.first) },
        )
        assertEquals(listOf(1_800_000, null, 1_800_000), clusters.clusters.map { it.maximumKhz })
    }
}
