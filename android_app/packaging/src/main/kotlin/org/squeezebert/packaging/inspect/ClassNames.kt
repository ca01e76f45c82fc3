package org.squeezebert.packaging.inspect

private val CLASS_NAME = Regex("""^L?((?:org/pytorch|com/facebook|ai/onnxruntime)/[\w/$]+);?$""")

/**
 * Names of the engines' classes among the strings of [library]: `org.pytorch.executorch.Module`.
 *
 * A library registers its methods for all of these when it is loaded, and cannot be loaded where
 * one is missing, though the app may never use it.
 */
fun classesNamedIn(library: ByteArray): List<String> =
    String(library, Charsets.ISO_8859_1)
        .split('\u0000')
        .mapNotNull { CLASS_NAME.find(it)?.groupValues?.get(1)?.replace('/', '.') }
        .distinct()
        .sorted()
