package org.squeezebert.inspection

import java.io.File
import java.lang.reflect.Modifier
import java.net.URLClassLoader
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.AssumptionViolatedException
import org.junit.Test

/** The signatures that the app is compiled against are those of the classes that are packed. */
class ExecutorchApiIT {
    /** Every class of the module of signatures. */
    private val names =
        File("../executorch-api/src/main/java").canonicalFile.let { sources ->
            sources.walk()
                .filter { it.extension == "java" }
                .map { it.relativeTo(sources).invariantSeparatorsPath.removeSuffix(".java") }
                .map { it.replace('/', '.') }
                .sorted()
                .toList()
        }

    /** The engine's classes with what they need, apart from this test's class path. */
    private fun packedClasses(): ClassLoader {
        val offline = builtOptions().optional("offline") == "true"
        val engines = File(BUILT, "package/engines")
        val jars = engines.walkTopDown().filter { it.extension == "jar" }.toList()
        val packed = jars.filter { it.name in listOf("classes.jar", "executorch.jar") }
        requirePart(packed.isNotEmpty(), onlyOffline = offline, inCi = System.getenv("CI"))
        val urls = (jars + builtOptions().file("nativeloader")).map { it.toURI().toURL() }
        return URLClassLoader(urls.toTypedArray(), ClassLoader.getPlatformClassLoader())
    }

    @Test
    fun everySignatureIsThere() {
        val loader = packedClasses()
        for (name in names) {
            val missing =
                signatures(Class.forName(name)) - signatures(Class.forName(name, false, loader))
            assertEquals(name, emptySet<String>(), missing)
        }
    }

    @Test
    fun anotherClassLacksThem() {
        val loader = packedClasses()
        val other = signatures(Class.forName("org.pytorch.executorch.DType", false, loader))
        for (name in names - "org.pytorch.executorch.DType") {
            assertTrue(name, (signatures(Class.forName(name)) - other).isNotEmpty())
        }
    }

    /** What the app starts the library by is among them. */
    @Test
    fun everyClassIsCompared() {
        assertTrue("$names", "org.pytorch.executorch.ExecuTorchRuntime" in names)
        val compiled = File("../executorch-api/target/classes").canonicalFile.walk()
        assertEquals(names.size, compiled.count { it.extension == "class" })
    }

    @Test
    fun onlyAMachineOfItsOwnMaySkip() {
        requirePart(there = true, onlyOffline = false, inCi = "true")
        for ((offline, ci) in listOf(false to null, false to "", true to "true")) {
            assertThrows(AssumptionViolatedException::class.java) {
                requirePart(there = false, offline, ci)
            }
        }
        val failure = assertThrows(AssertionError::class.java) {
            requirePart(there = false, onlyOffline = false, inCi = "true")
        }
        assertEquals("ExecuTorch is not in this build", failure.message)
    }

    /** A build that may not fetch anything skips, and one at home; CI has to have the part. */
    private fun requirePart(there: Boolean, onlyOffline: Boolean, inCi: String?) {
        if (onlyOffline || inCi.isNullOrEmpty()) {
            assumeTrue("ExecuTorch is not in this build", there)
        }
        assertTrue("ExecuTorch is not in this build", there)
    }

    /** Public members with their types. Asked for a value, the class would load its library. */
    private fun signatures(type: Class<*>): Set<String> {
        val methods =
            type.declaredMethods
                .filter { Modifier.isPublic(it.modifiers) && !it.isSynthetic }
                .map { method ->
                    val parameters = method.parameterTypes.joinToString { it.name }
                    val static = Modifier.isStatic(method.modifiers)
                    "${method.name}($parameters): ${method.returnType.name}, static: $static"
                }
        val fields =
            type.declaredFields
                .filter { Modifier.isPublic(it.modifiers) }
                .map { "${it.name}: ${it.type.name}" }
        val constructors =
            type.declaredConstructors
                .filter { Modifier.isPublic(it.modifiers) }
                .map { it.parameterTypes.joinToString { parameter -> parameter.name } }
        return (methods + fields + constructors).toSet()
    }
}
