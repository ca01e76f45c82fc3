package org.squeezebert.inspection

import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized
import org.squeezebert.packaging.engines.ABIS

/** The APKs are as they have to be. */
@RunWith(Parameterized::class)
class ApkIT(private val abi: String) {
    private val inspection = inspection(builtApk(abi), abi)

    @Test fun signature() = assertEquals(emptyList<String>(), inspection.signature())

    @Test fun manifest() = assertEquals(emptyList<String>(), inspection.manifest())

    @Test fun abis() = assertEquals(emptyList<String>(), inspection.abis())

    @Test fun alignment() = assertEquals(emptyList<String>(), inspection.alignment())

    @Test fun dex() = assertEquals(emptyList<String>(), inspection.dex())

    @Test fun keptClasses() = assertEquals(emptyList<String>(), inspection.keptClasses())

    @Test fun size() = assertEquals(emptyList<String>(), inspection.size())

    companion object {
        @JvmStatic
        @Parameterized.Parameters(name = "{0}")
        fun abis() = ABIS
    }
}
