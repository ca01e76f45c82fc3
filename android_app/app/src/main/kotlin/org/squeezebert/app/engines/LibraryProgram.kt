package org.squeezebert.app.engines

import org.pytorch.executorch.EValue
import org.pytorch.executorch.ExecuTorchRuntime
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/** Programs run by ExecuTorch's library in this app. [libraryVersion] is what the build packed. */
class LibraryLoader(private val libraryVersion: String) : ProgramLoader {
    override fun version(): String {
        ExecuTorchRuntime.getRuntime()
        return libraryVersion
    }

    // Mapped, so that a model's weights are the file's own pages, which the system may drop.
    override fun load(path: String, threads: Int): Program =
        LibraryProgram(Module.load(path, Module.LOAD_MODE_MMAP, threads))
}

private class LibraryProgram(private val module: Module) : Program {
    override val methods: Set<String> = module.methods.toSet()

    override fun load(method: String) = module.loadMethod(method)

    override fun run(method: String, inputs: List<LongArray>): List<Pair<LongArray, FloatArray>> {
        val values = inputs.map {
            EValue.from(Tensor.fromBlob(it, longArrayOf(1, it.size.toLong())))
        }
        return module.execute(method, *values.toTypedArray()).map {
            val tensor = it.toTensor()
            tensor.shape() to tensor.dataAsFloatArray
        }
    }

    override fun close() = module.close()
}
