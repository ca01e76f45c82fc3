package org.squeezebert.inspection

import java.io.File
import java.lang.reflect.Modifier
import java.net.URLClassLoader
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.Test

/** The signatures that the app is compiled against are those of the classes that are packed. */
class ExecutorchApiIT {
    private val names =
        listOf("DType", "EValue", "ExecutorchRuntimeException", "Module", "Tensor")
            .map { "org.pytorch.executorch.$it" }

    /** The engine's classes with what they need, apart from this test's class path. */
    private fun packedClasses(): ClassLoader {
        val engines = File(BUILT, "package/engines")
        val jars = engines.walkTopDown().filter { it.extension == "jar" }.toList()
        val packed = jars.filter { it.name in listOf("classes.jar", "executorch.jar") }
        assumeTrue("ExecuTorch is in this build", packed.isNotEmpty())
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
        assertTrue((signatures(Class.forName(names.last())) - other).isNotEmpty())
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
