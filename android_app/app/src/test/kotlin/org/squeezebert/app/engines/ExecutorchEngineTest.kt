package org.squeezebert.app.engines

import java.io.File
import java.util.concurrent.CountDownLatch
import kotlin.concurrent.thread
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.squeezebert.core.UserError
import org.squeezebert.core.bundle.Artifact
import org.squeezebert.core.bundle.TensorSpec
import org.squeezebert.core.engine.Availability
import org.squeezebert.core.engine.Tokens

/**
 * The engine around a program that is not ExecuTorch: its library has no build for a desktop JVM.
 * What the library itself answers is not tested here.
 */
class ExecutorchEngineTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val file: File by lazy { folder.newFile("model.pte") }

    @Test
    fun `one method takes any length`() {
        val program = FakeProgram(setOf("forward", "max_positions"))
        val model = open(program)
        val output = model.run(tokens(5)).single()
        assertEquals(listOf("load forward", "forward 5"), program.calls)
        assertEquals("logits", output.name)
        assertArrayEquals(floatArrayOf(15f, 5f, 10f), output.values, 0f)
    }

    @Test
    fun `a text runs in the shortest method that is long enough`() {
        val program = FakeProgram(setOf("forward_64", "forward_32", "forward_128", "task"))
        val model = open(program)
        // Ids 1 to T, mask all ones, types 0 and then 2s: padding adds nothing to the sums.
        assertArrayEquals(
            floatArrayOf(33f * 34 / 2, 33f, 66f), model.run(tokens(33)).single().values, 0f,
        )
        model.run(tokens(32))
        model.run(tokens(128))
        assertEquals(
            listOf("load forward_32", "forward_64 64", "forward_32 32", "forward_128 128"),
            program.calls,
        )
        val error = assertThrows(UserError::class.java) { model.run(tokens(129)) }
        assertEquals("129 tokens are too many: executorch/model.pte takes at most 128.", error.reason)
    }

    @Test
    fun `padding is cut off from outputs by token`() {
        val artifact = ARTIFACT.copy(
            outputs = listOf(TensorSpec("last_hidden_state", "float32", listOf(1, -1, 2))),
        )
        val program = FakeProgram(setOf("forward_4"), byToken = true)
        val output = engine(program).open(file, artifact, 1).run(tokens(3)).single()
        assertArrayEquals(longArrayOf(1, 3, 2), output.shape)
        assertArrayEquals(floatArrayOf(1f, 1f, 2f, 2f, 3f, 3f), output.values, 0f)
    }

    @Test
    fun `closing waits for the inference that runs, and ends the rest`() {
        val started = CountDownLatch(1)
        val goOn = CountDownLatch(1)
        val program = FakeProgram(setOf("forward")) {
            started.countDown()
            goOn.await()
        }
        val model = open(program)
        val running = thread { model.run(tokens(3)) }
        started.await()
        val closing = thread { model.close() }
        while (closing.state != Thread.State.BLOCKED) Thread.onSpinWait()
        assertEquals(0, program.closed)
        goOn.countDown()
        running.join()
        closing.join()
        model.close()
        assertEquals(1, program.closed)
        val error = assertThrows(UserError::class.java) { model.run(tokens(3)) }
        assertEquals("model.pte was closed.", error.reason)
    }

    @Test
    fun `what the library refuses is said, and nothing stays open`() {
        val broken = FakeProgram(setOf("forward"), failsToLoad = "[ExecuTorch Error 0x23] Invalid")
        val error = assertThrows(UserError::class.java) { open(broken) }
        assertEquals(
            "ExecuTorch cannot load model.pte: [ExecuTorch Error 0x23] Invalid.", error.reason,
        )
        assertEquals(1, broken.closed)
        val other = FakeProgram(setOf("decode"))
        val lacking = assertThrows(UserError::class.java) { open(other) }
        assertTrue(lacking.reason, "no method forward" in lacking.reason)
        assertEquals(1, other.closed)
        val failing = FakeProgram(setOf("forward")) { throw IllegalStateException("0x12\nmore") }
        val refused = assertThrows(UserError::class.java) { open(failing).run(tokens(7)) }
        assertEquals("ExecuTorch refused 7 tokens: 0x12.", refused.reason)
    }

    @Test
    fun `a file that is not there, and inputs of another type`() {
        val engine = engine(FakeProgram(setOf("forward")))
        val gone = File(folder.root, "gone.pte")
        val error = assertThrows(UserError::class.java) { engine.open(gone, ARTIFACT, 1) }
        assertEquals("ExecuTorch cannot load gone.pte: there is no such file.", error.reason)
        val float = ARTIFACT.copy(inputs = listOf(TensorSpec("input_ids", "float32", listOf(1, -1))))
        assertThrows(UserError::class.java) { engine.open(file, float, 1) }
    }

    @Test
    fun `an app without the library says so`() {
        val engine = ExecutorchEngine(object : ProgramLoader {
            override fun version(): String = throw UnsatisfiedLinkError("dlopen failed: libexecutorch")
            override fun load(path: String, threads: Int) = error("never")
        })
        val missing = engine.availability() as Availability.Missing
        assertTrue(missing.why.reason, "does not carry ExecuTorch" in missing.why.reason)
        val error = assertThrows(UserError::class.java) { engine.open(file, ARTIFACT, 1) }
        assertSame(missing.why, error)
    }

    @Test
    fun `an old processor never loads the library`() {
        val why = UserError("too old", "another phone")
        val engine = ExecutorchEngine(
            object : ProgramLoader {
                override fun version(): String = error("would end the process")
                override fun load(path: String, threads: Int) = error("never")
            },
            unsupported = { why },
        )
        assertSame(why, (engine.availability() as Availability.Missing).why)
    }

    private fun engine(program: Program) = ExecutorchEngine(object : ProgramLoader {
        override fun version() = "1.2.3"
        override fun load(path: String, threads: Int) = program
    })

    private fun open(program: Program) = engine(program).open(file, ARTIFACT, 2)
}

private val ARTIFACT = Artifact(
    path = "executorch/model.pte",
    target = "executorch",
    flavour = "optimized",
    precision = "fp32",
    bytes = 1,
    sha256 = "",
    fingerprint = null,
    files = emptyList(),
    inputs = listOf("input_ids", "attention_mask", "token_type_ids").map {
        TensorSpec(it, "int64", listOf(1, -1))
    },
    outputs = listOf(TensorSpec("logits", "float32", listOf(1, 3))),
)

private fun tokens(length: Int) =
    Tokens(IntArray(length) { it + 1 }, IntArray(length) { 1 }, IntArray(length) { 2 })

/** Its logits are the sums of its inputs; by token, each id twice. */
private class FakeProgram(
    override val methods: Set<String>,
    private val byToken: Boolean = false,
    private val failsToLoad: String? = null,
    private val during: () -> Unit = {},
) : Program {
    val calls = mutableListOf<String>()
    var closed = 0

    override fun load(method: String) {
        failsToLoad?.let { throw IllegalStateException(it) }
        calls += "load $method"
    }

    override fun run(method: String, inputs: List<LongArray>): List<Pair<LongArray, FloatArray>> {
        during()
        calls += "$method ${inputs.first().size}"
        if (byToken) {
            val length = inputs.first().size
            val values = FloatArray(2 * length) { inputs.first()[it / 2].toFloat() }
            return listOf(longArrayOf(1, length.toLong(), 2) to values)
        }
        return listOf(longArrayOf(1, 3) to FloatArray(3) { inputs[it].sum().toFloat() })
    }

    override fun close() {
        closed++
    }
}
