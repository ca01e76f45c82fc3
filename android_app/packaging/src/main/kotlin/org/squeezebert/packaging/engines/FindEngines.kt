package org.squeezebert.packaging.engines

import java.io.File
import org.squeezebert.packaging.PackagingError
import org.squeezebert.packaging.sha256

/** Where the engines may come from: files that the user named, versions, and helpers' libraries. */
class EngineSources(
    val onnxruntimeArchive: File?,
    val executorchArchive: File?,
    val onnxruntimeVersion: String,
    val executorchVersion: String,
    /** The AAR of fbjni, which ExecuTorch's library needs on every phone. */
    val fbjniArchive: File,
    /** The jar of Facebook's NativeLoader, which ExecuTorch's classes call. */
    val nativeLoader: File,
)

/**
 * Finds every engine's part: the file that the user named, else the official AAR from Maven's
 * repositories, else for ExecuTorch a package of npm; else the engine is missing, which the app
 * says on its About screen.
 *
 * Downloads are kept in [folder]; what is unpacked lies in [unpacked].
 */
class FindEngines(
    private val sources: EngineSources,
    private val folder: File,
    private val unpacked: File,
    private val downloads: Downloads,
) {
    /** The parts of all engines, in the order of [EngineName]. */
    fun find(): List<EnginePart> = listOf(findOnnxRuntime(), findExecutorch())

    private fun findOnnxRuntime(): EnginePart {
        val official =
            official(
                EngineName.ONNX,
                sources.onnxruntimeArchive,
                "com.microsoft.onnxruntime:onnxruntime-android",
                sources.onnxruntimeVersion,
            )
        return official
            ?: EnginePart.missing(
                EngineName.ONNX,
                "Maven has no onnxruntime-android ${sources.onnxruntimeVersion} here; " +
                    "build with -Donnxruntime.aar=FILE",
            )
    }

    private fun findExecutorch(): EnginePart {
        val official =
            official(
                EngineName.EXECUTORCH,
                sources.executorchArchive,
                "org.pytorch:executorch-android",
                sources.executorchVersion,
            )
        val part =
            official
                ?: substitute()
                ?: return EnginePart.missing(
                    EngineName.EXECUTORCH,
                    "neither Maven nor npm has it here; build with -Dexecutorch.aar=FILE",
                )
        return part.with(sources.fbjniArchive)
    }

    private fun official(
        engine: EngineName,
        given: File?,
        coordinates: String,
        version: String,
    ): EnginePart? {
        if (given != null && !given.isFile) {
            throw PackagingError(
                "There is no file $given.",
                "Name an AAR of ${engine.title}, or leave the option out.",
            )
        }
        val archive = given ?: downloads.fromMaven("$coordinates:$version:aar", folder)
        if (archive == null) return null
        val hash = archive.sha256()
        return EnginePart(
            engine = engine,
            // An AAR does not say its version; a file's name is no promise of it.
            version = if (given == null) version else "given by the builder (${hash.take(12)})",
            source = if (given == null) "$coordinates from Maven" else "a file of the builder",
            sha256 = hash,
            classes = listOf(classesOf(archive, File(unpacked, "${engine.target}.jar"))),
            libraries = librariesOf(archive),
        )
    }

    /** Classes and libraries that another project builds from ExecuTorch's sources. */
    private fun substitute(): EnginePart? {
        val archive = downloads.fromNpm(NPM_PACKAGE, NPM_VERSION, NPM_SHA256, folder) ?: return null
        val root = File(unpacked, NPM_PACKAGE)
        unpackTar(archive, root) { name -> name in NPM_FILES }
        return EnginePart(
            engine = EngineName.EXECUTORCH,
            version = SUBSTITUTE_VERSION,
            source = "$NPM_PACKAGE $NPM_VERSION from npm",
            sha256 = NPM_SHA256,
            classes = listOf(File(root, NPM_CLASSES)),
            libraries =
                ABIS.associateWith { abi ->
                    val library = File(root, npmLibrary(abi))
                    mapOf("libexecutorch.so" to library.readBytes())
                },
        )
    }

    private fun EnginePart.with(helper: File): EnginePart {
        val helpers = librariesOf(helper)
        val helperClasses = classesOf(helper, File(unpacked, "fbjni.jar"))
        return EnginePart(
            engine,
            version,
            source,
            sha256,
            classes + helperClasses + sources.nativeLoader,
            libraries.mapValues { (abi, own) -> join(own, helpers.getValue(abi)) },
        )
    }

    /** The engine's own libraries win: they were linked against what they bring. */
    private fun join(own: Map<String, ByteArray>, helpers: Map<String, ByteArray>) =
        if (own.isEmpty()) own else helpers + own

    private companion object {
        const val NPM_PACKAGE = "react-native-executorch"
        const val NPM_VERSION = "0.9.3"
        const val NPM_SHA256 = "70a20a865b82f47ac46c82711d93c2038cf99eccbb9b287494219063f2217622"
        const val NPM_CLASSES = "package/android/libs/classes.jar"

        /** What its sources say they are; the package states no smaller part. */
        const val SUBSTITUTE_VERSION = "1.3"

        fun npmLibrary(abi: String) =
            "package/third-party/android/libs/executorch/$abi/libexecutorch.so"

        val NPM_FILES = ABIS.map(::npmLibrary) + NPM_CLASSES
    }
}
